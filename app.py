"""The entry for Hugging Face Spaces, and for `python app.py`: builds the studio and launches it."""

try:
    import spaces  # before torch, where there is a ZeroGPU
except ImportError:
    spaces = None

from aigc_demo import studio

demo = studio.build(gpu=spaces.GPU if spaces else None)

if __name__ == "__main__":
    studio.launch(demo)
