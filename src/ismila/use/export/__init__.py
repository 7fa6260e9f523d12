"""A classifier without ismila: one ONNX file, or a page that any static host serves."""
