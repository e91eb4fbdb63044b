"""The version, in the one place that the build and the package read; and the versions around it."""

__version__ = "0.2.0"

_PACKAGES = (
    "polars",
    "numpy",
    "websockets",
    "ipywidgets",
    "anywidget",
    "ipykernel",
    "jupyterlab",
    "httpx",
    "kiteconnect",
)


def show_versions() -> None:
    """Print the versions of the package, of Python and of what they run on, for a report.

    Nothing of it identifies you: no names, paths or credentials.

    Examples
    --------
    >>> show_versions()  # doctest: +ELLIPSIS
    kitepolars  0.2.0
    Python      ...
    """
    import os  # noqa: PLC0415 - only a report needs these
    import platform  # noqa: PLC0415
    import sys  # noqa: PLC0415
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    lines = {
        "kitepolars": __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} cores",
    }
    for name in _PACKAGES:
        try:
            lines[name] = version(name)
        except PackageNotFoundError:
            lines[name] = "not installed"
    width = max(map(len, lines))
    for name, text in lines.items():
        sys.stdout.write(f"{name:{width}}  {text}\n")
