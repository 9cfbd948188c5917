"""Provider `local`: the models that run inside this process.

Importing this package, `settings` or `provider` loads neither numpy nor onnxruntime; they are loaded with the
first model.
"""
