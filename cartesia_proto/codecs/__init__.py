"""Bytes to values and back, incrementally: JSON and base64, event streams, multipart, speech events, error answers.

This layer knows how things are written. It must not know why they were asked for (`api`), who may say what when
(`sessions`), nor how bytes travel (`wire`). A codec raises `RemoteProtocolError` to the machine that feeds it; an
incremental decoder first returns everything before the failure and raises it on the next call, so that results never
depend on how the bytes were cut.
"""
