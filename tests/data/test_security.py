"""Nothing is unpickled, and no value of a configuration reaches a shell."""

import ast
import re

import pytest

SAFE = {"np.load": ("allow_pickle", False), "torch.load": ("weights_only", True)}
NEVER = {"pickle.load", "pickle.loads", "joblib.load", "pd.read_pickle", "np.loads", "eval", "exec"}
FOLDERS = ("src", "workflow", "tools", "benchmarks")


def calls(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield path, ast.unparse(node.func), node


def test_no_pickle_is_loaded(root):
    found = set()
    for path, name, node in calls(root):
        assert name not in NEVER, (path, name)
        if name in SAFE:
            found.add(name)
            keyword, value = SAFE[name]
            given = {word.arg: ast.literal_eval(word.value) for word in node.keywords
                     if isinstance(word.value, ast.Constant)}  # fmt: skip
            assert given.get(keyword) is value, (path, name)
    assert found == set(SAFE)


def test_no_shell_gets_a_value_of_the_configuration(root):
    """Rules run scripts, which take values as Python objects; no command is built of text."""
    for path in (root / "workflow/rules").glob("*.smk"):
        assert not re.search(r"^\s*(shell|run):", path.read_text(), re.MULTILINE), path
    for path, name, node in calls(root):
        if name.startswith("subprocess."):
            assert "shell" not in {word.arg for word in node.keywords}, path
        assert name not in ("os.system", "os.popen"), path


@pytest.mark.parametrize("word", ["partition", "slurm", "/scratch", "/home", "/mnt", "localhost"])
def test_no_rule_names_a_machine(root, word):
    for path in [root / "Snakefile", *(root / "workflow/rules").glob("*.smk")]:
        assert word not in path.read_text(), path
