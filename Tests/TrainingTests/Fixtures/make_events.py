"""Writes events.bin and resumed.bin: event files by TensorBoard's own protocol buffers and record writer.

    pip install tensorboard==2.21.0
    python make_events.py
"""
import os

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

here = os.path.dirname(os.path.abspath(__file__))
time = 1700000000.25


def scalars(step, values):
    return Event(
        wall_time=time, step=step,
        summary=Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values]))


def write(name, events):
    with open(os.path.join(here, name), "wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString(deterministic=True))
        writer.flush()


head = Event(wall_time=time, file_version="brain.Event:2")
write("events.bin", [
    head,
    scalars(1, [("loss", 0.5), ("validation/gen_real", -1.25)]),
    scalars(300, [("loss", 1e-3)]),
])
write("resumed.bin", [head, Event(wall_time=time, step=301, session_log=SessionLog(status=SessionLog.START))])
