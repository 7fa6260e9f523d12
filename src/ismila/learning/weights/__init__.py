"""Bundled backbone weights; README.md says where they come from."""

from pathlib import Path

BUNDLED = Path(__file__).with_name("mobilenet_v2.safetensors")
"""Keras' MobileNetV2 (float32); the graph for onnxruntime lies beside it and reads the same bytes."""
