"""What the bytes of audio are: output formats, whole PCM samples, WAV files.

This layer knows encodings, sample rates and the RIFF container. It must not know where audio comes from, and it never
opens a file, plays, mixes or converts anything.
"""
