"""Provider `local`: the models that run inside this process.

Importing this package, `options` or `provider` loads neither numpy nor onnxruntime; they are loaded with the
first model.
"""
