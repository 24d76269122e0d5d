"""Packages that only some commands need, and the extras of pyproject.toml that install them."""

from importlib.util import find_spec

from weaklesion.errors import DataError

EXTRAS = {
    "SimpleITK": "uls23",
    "highdicom": "dicom",
    "pydicom": "dicom",
    "monai": "torch",
    "onnxruntime": "onnx",
    "onnxscript": "export",
    "pandas": "torch",
    "safetensors": "torch",
    "scipy": "volume",
    "skimage": "dicom",
    "sklearn": "torch",
    "torch": "torch",
    "torchvision": "torch",
    "yaml": "workflow",
}


def not_installed(package: str, what: str) -> DataError:
    """Return the error of a package that is not installed.

    Args:
        package: the name by which it is imported, a key of `EXTRAS`.
        what: the command, option or file that needs it.

    >>> str(not_installed("pandas", "plan"))
    "plan: pandas is not installed: pip install 'weaklesion[torch]'."
    """
    return DataError(
        f"{what}: {package} is not installed: pip install 'weaklesion[{EXTRAS[package]}]'."
    )


def require(package: str, what: str) -> None:
    """Check that a package is installed, without importing it.

    Args:
        package: see `not_installed`.
        what: the same.

    Raises:
        DataError: if it is not.
    """
    if find_spec(package) is None:
        raise not_installed(package, what)
