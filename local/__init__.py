"""The whole way on one machine: an AWS emulator, the stand-in for Azure and the real function."""
