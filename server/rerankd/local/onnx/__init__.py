"""ONNX networks: model files, the graph that multiplies int8, sessions, and what a run costs."""
