"""Reading typed settings from files and the environment: for any msgspec struct, whatever its fields mean."""
