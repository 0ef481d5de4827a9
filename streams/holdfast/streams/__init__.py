"""The engine: the pure core, the driver, the Faust shell and the executors."""
