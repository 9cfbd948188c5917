"""The command `import-config`: settings of another gateway as ours."""
