"""`python -m picloud_kernel -f CONNECTION_FILE`: what Jupyter starts."""

from __future__ import annotations

from ipykernel.kernelapp import IPKernelApp

from picloud_kernel.kernel import PicloudKernel


def main() -> None:
    """Run the kernel until Jupyter shuts it down."""
    IPKernelApp.launch_instance(kernel_class=PicloudKernel)


if __name__ == "__main__":
    main()
