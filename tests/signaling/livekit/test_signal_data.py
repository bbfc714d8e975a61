"""Data packets: who gets them, and what they say of their sender."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.protocol import models

from mediaserver.messages import DataLabel
from signaling.livekit.data import RECORDING_TOPIC, SERVER, from_server, relay
from signaling.livekit.effects import Effect, SendData
from tests.signaling.livekit.script import Actor, Stage

DataPacket = models.DataPacket


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    for name in ("alice", "bob", "carol"):
        stage.join(name)
    return stage


@pytest.fixture
def alice(stage: Stage) -> Actor:
    return actor(stage, "alice")


def actor(stage: Stage, identity: str) -> Actor:
    return next(one for one in stage.actors.values() if one.one.identity == identity)


def user(payload: bytes = b"hello", **fields: Any) -> models.UserPacket:
    return models.UserPacket(payload=payload, **fields)


def relayed(who: Actor, packet: models.DataPacket, label: DataLabel = "_reliable") -> list[Effect]:
    return relay(who.stage.room, who.sid, label, packet.SerializeToString())


def test_a_packet_goes_to_all_others_on_the_same_channel(alice: Actor) -> None:
    for label, kind in (("_reliable", DataPacket.RELIABLE), ("_lossy", DataPacket.LOSSY)):
        sent = alice.send_data(DataPacket(user=user(topic="t")), label)  # type: ignore[arg-type]
        assert sent.label == label
        assert {alice.stage.room.participants[peer].identity for peer in sent.to} == {
            "bob",
            "carol",
        }
        packet = DataPacket.FromString(sent.payload)
        assert (packet.kind, packet.user.payload, packet.user.topic) == (kind, b"hello", "t")


@pytest.mark.parametrize(
    "fields",
    [
        {"destination_identities": ["bob"], "user": user()},
        {"user": user(destination_identities=["bob"])},
        {"destination_identities": ["bob"], "user": user(destination_identities=["carol"])},
        {"destination_identities": ["bob", "alice", "nobody"], "user": user()},
    ],
)
def test_a_packet_for_somebody_goes_to_nobody_else(alice: Actor, fields: dict[str, Any]) -> None:
    bob = actor(alice.stage, "bob")
    sent = alice.send_data(DataPacket(**fields))
    assert sent.to == (bob.sid,)
    packet = DataPacket.FromString(sent.payload)
    assert list(packet.destination_identities) == list(packet.user.destination_identities)


def test_destination_by_sid_as_older_clients_do_it(alice: Actor) -> None:
    bob = actor(alice.stage, "bob")
    assert alice.send_data(DataPacket(user=user(destination_sids=[bob.sid]))).to == (bob.sid,)


def test_a_packet_for_nobody_here_is_not_sent(alice: Actor) -> None:
    assert relayed(alice, DataPacket(destination_identities=["nobody"], user=user())) == []
    assert relayed(alice, DataPacket(destination_identities=["alice"], user=user())) == []


# --- attacks --------------------------------------------------------------------------------------


def test_spoofing_another_sender(alice: Actor) -> None:
    bob = actor(alice.stage, "bob")
    forged = DataPacket(
        participant_identity="bob",
        participant_sid=bob.sid,
        kind=DataPacket.LOSSY,
        user=user(participant_identity="bob", participant_sid=bob.sid),
    )
    packet = DataPacket.FromString(alice.send_data(forged).payload)
    assert (packet.participant_identity, packet.participant_sid) == ("alice", alice.sid)
    assert (packet.user.participant_identity, packet.user.participant_sid) == ("alice", alice.sid)
    assert packet.kind == DataPacket.RELIABLE


def test_spoofing_as_a_generated_chat_message_is_for_agents_only(stage: Stage) -> None:
    chat = DataPacket(
        participant_identity="bob", chat_message=models.ChatMessage(message="hi", generated=True)
    )
    alice, agent = actor(stage, "alice"), stage.join("agent", kind="agent")
    packet = DataPacket.FromString(alice.send_data(chat).payload)
    assert packet.participant_identity == "alice"
    packet = DataPacket.FromString(agent.send_data(chat).payload)
    assert (packet.participant_identity, packet.participant_sid) == ("bob", agent.sid)
    plain = DataPacket(participant_identity="bob", user=user())
    packet = DataPacket.FromString(agent.send_data(plain).payload)
    assert packet.participant_identity == "agent"


def test_sending_data_without_the_right(stage: Stage) -> None:
    mallory = stage.join("mallory", can_publish_data=False)
    assert relayed(mallory, DataPacket(user=user())) == []


def test_a_hidden_sender_stays_unknown(stage: Stage) -> None:
    ghost = stage.join("ghost", hidden=True)
    forged = DataPacket(participant_identity="bob", participant_sid="PA_bob", user=user())
    packet = DataPacket.FromString(ghost.send_data(forged).payload)
    assert (packet.participant_identity, packet.participant_sid) == ("", "")
    assert (packet.user.participant_identity, packet.user.participant_sid) == ("", "")


@pytest.mark.parametrize("payload", [b"\xff", b"\x0a", b"not a packet" * 100])
def test_nonsense_is_dropped(alice: Actor, payload: bytes) -> None:
    assert relay(alice.stage.room, alice.sid, "_reliable", payload) == []


def test_data_of_somebody_who_left_is_dropped(alice: Actor) -> None:
    payload = DataPacket(user=user()).SerializeToString()
    alice.stage.room.participants.pop(alice.sid)
    assert relay(alice.stage.room, alice.sid, "_reliable", payload) == []


# --- kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"rpc_request": models.RpcRequest(id="1", method="m")},
        {"rpc_ack": models.RpcAck(request_id="1")},
        {"rpc_response": models.RpcResponse(request_id="1", payload="p")},
        {"stream_header": models.DataStream.Header(stream_id="s", topic="t")},
        {"stream_chunk": models.DataStream.Chunk(stream_id="s", content=b"c")},
        {"stream_trailer": models.DataStream.Trailer(stream_id="s")},
        {"encrypted_packet": models.EncryptedPacket(iv=b"iv", encrypted_value=b"v")},
        {"sip_dtmf": models.SipDTMF(digit="1")},
    ],
)
def test_values_pass_untouched(alice: Actor, fields: dict[str, Any]) -> None:
    (name,) = fields
    packet = DataPacket.FromString(alice.send_data(DataPacket(**fields)).payload)
    assert getattr(packet, name) == fields[name]


def test_a_value_of_a_newer_client_passes(alice: Actor) -> None:
    unknown = b"\xfa\x7f\x03new"  # field 2047, three bytes
    payload = DataPacket(destination_identities=["bob"]).SerializeToString() + unknown
    (sent,) = relay(alice.stage.room, alice.sid, "_reliable", payload)
    assert unknown in sent.payload  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "fields",
    [
        {"speaker": models.ActiveSpeakerUpdate()},
        {"metrics": models.DataPacket().metrics},
        {"transcription": models.Transcription(track_id="TR_x")},
    ],
)
def test_values_that_do_not_pass(alice: Actor, fields: dict[str, Any]) -> None:
    assert relayed(alice, DataPacket(**fields)) == []


def test_transcriptions_pass_from_agents(stage: Stage) -> None:
    agent = stage.join("agent", kind="agent")
    agent.send_data(DataPacket(transcription=models.Transcription(track_id="TR_x")))


def test_data_tracks_are_not_relayed(alice: Actor) -> None:
    assert relayed(alice, DataPacket(user=user()), "_data_track") == []


# --- once -----------------------------------------------------------------------------------------


def test_a_reliable_packet_sent_again_is_dropped_and_numbers_are_kept(alice: Actor) -> None:
    numbers = []
    for sequence in (1, 2, 2, 1, 5, 4, 6):
        for effect in relayed(alice, DataPacket(sequence=sequence, user=user())):
            numbers.append(DataPacket.FromString(effect.payload).sequence)  # type: ignore[union-attr]
    assert numbers == [1, 2, 5, 6]
    assert alice.one.last_reliable_sequence == 6


def test_numbers_count_per_sender_and_only_when_reliable(alice: Actor) -> None:
    bob = actor(alice.stage, "bob")
    packet = DataPacket(sequence=1, user=user())
    assert len(relayed(alice, packet)) == len(relayed(bob, packet)) == 1
    assert len(relayed(alice, packet, "_lossy")) == 1
    unnumbered = DataPacket(user=user())
    assert len(relayed(alice, unnumbered)) == len(relayed(alice, unnumbered)) == 1


def test_a_nonce_seen_recently_is_dropped(alice: Actor) -> None:
    assert len(relayed(alice, DataPacket(user=user(nonce=b"n")))) == 1
    assert relayed(alice, DataPacket(user=user(nonce=b"n"))) == []
    for number in range(1000):
        relayed(alice, DataPacket(user=user(nonce=str(number).encode())))
    assert len(alice.one.recent_nonces) == 256
    assert len(relayed(alice, DataPacket(user=user(nonce=b"n")))) == 1


def test_what_the_server_says_has_no_sender_and_goes_to_everybody(stage: Stage) -> None:
    (sent,) = from_server(stage.room, RECORDING_TOPIC, b"{}")
    assert isinstance(sent, SendData)
    assert (sent.sender, sent.to, sent.label) == (SERVER, tuple(stage.actors), "_reliable")
    packet = DataPacket.FromString(sent.payload)
    assert (packet.user.topic, packet.user.payload) == (RECORDING_TOPIC, b"{}")
    assert (packet.participant_identity, packet.participant_sid) == ("", "")


def test_the_server_says_nothing_to_an_empty_room() -> None:
    assert from_server(Stage().room, RECORDING_TOPIC, b"{}") == []


def test_attack_a_hidden_participant_speaks_as_the_server(stage: Stage) -> None:
    ghost = stage.connect("ghost", hidden=True)
    assert relayed(ghost, DataPacket(user=user(topic=RECORDING_TOPIC))) == []
    assert relayed(ghost, DataPacket(user=user(topic="another"))) != []


def test_attack_a_participant_s_own_notice_carries_their_name(alice: Actor) -> None:
    packet = DataPacket(user=user(topic=RECORDING_TOPIC), participant_identity="")
    (sent,) = relayed(alice, packet)
    assert isinstance(sent, SendData)
    assert DataPacket.FromString(sent.payload).participant_identity == "alice"
