"""Networks as graphs of operators: linear ones, functions, products; read from torch and ONNX."""
