"""The entry for Hugging Face Spaces, and for `python app.py`: builds the studio and launches it."""

try:
    import spaces  # before torch, where there is a ZeroGPU
except ImportError:
    spaces = None

from aigc_demo import studio
from aigc_demo.config import ConfigError

try:
    demo = studio.build(gpu=spaces.GPU if spaces else None)
except ConfigError as error:  # a limit of the environment that cannot be used
    raise SystemExit(f"app.py: {error}") from None

if __name__ == "__main__":
    studio.launch(demo)
