"""From a photo to a judgement: its animals, its views, their features, a classifier's answer. Without torch and pandas.

onnxruntime reads this variable while it is loaded, so it is set here: every module of this room comes after its
package.
"""

import os

# From 1.29 on onnxruntime sends Microsoft an event about each graph that is opened, from a thread of its own, which
# also reads environment variables whenever it likes (https://github.com/microsoft/onnxruntime/pull/27379)
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
