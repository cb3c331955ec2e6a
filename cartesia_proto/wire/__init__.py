"""Byte links: HTTP/1.1 and, beside it, what decides about proxies and kept-alive connections.

This package turns bytes into messages and back for those who have only a socket; it is the one place that imports h11
(and wsproto). It knows no endpoint, no retry and no credential beyond a proxy's, does no I/O and reads no clock: time
is an argument. It may import the base modules and `codecs`; `api`, `sessions` and `call` never import it.

All links have one shape. Verbs queue bytes; the shell writes what `data_to_send()` answers after every call, says
`data_sent(now)` once they have left or `send_failed()` if they could not, feeds what arrives to `receive_data` and
`receive_eof`, empties `next_event()` after each, and wakes the link with `handle_deadline` when `deadline()` has come.
Whatever a peer sends ends in events; a verb called where it is illegal raises `LocalProtocolError`.
"""
