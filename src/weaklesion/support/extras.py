"""Packages that only some commands need, and the extras of pyproject.toml that install them."""

from importlib.util import find_spec

from weaklesion.errors import DataError

# Each package that only extras install, by its name in imports, and the extra that messages name.
EXTRAS = {
    "SimpleITK": "uls23",
    "google": "onnx",  # protobuf
    "highdicom": "dicom",
    "joblib": "workflow",
    "jsonschema": "workflow",
    "matplotlib": "workflow",
    "monai": "torch",
    "onnxruntime": "onnx",
    "onnxscript": "export",
    "pandas": "torch",
    "pydensecrf": "crf",
    "pydicom": "dicom",
    "requests": "torch",
    "rocrate": "workflow",
    "safetensors": "torch",
    "scipy": "volume",
    "segmentation_models_pytorch": "torch",
    "skimage": "dicom",
    "sklearn": "torch",
    "threadpoolctl": "workflow",
    "torch": "torch",
    "torchvision": "torch",
    "urllib3": "torch",
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
