"""PDUs of the RPKI-to-Router protocol: octets as RFC 8210 §5 draws them, and every way to err."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.prefix import WIDTH, pack
from speaker.rpki.intervals import Intervals
from speaker.rpki.pdus import (
    MAX_LENGTH,
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorCode,
    ErrorReport,
    Flaw,
    Pdu,
    PrefixPdu,
    Reader,
    RouterKey,
    SerialNotify,
    encode,
    error_report,
    query,
)
from tests.support.routes import nlri

U16, U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)


@st.composite
def prefixes(draw: st.DrawFn) -> PrefixPdu:
    afi = draw(st.sampled_from([Afi.IPV4, Afi.IPV6]))
    width = WIDTH[afi]
    length = draw(st.integers(0, width))
    octets = width // 8
    address = draw(st.binary(min_size=octets, max_size=octets))
    longest = draw(st.integers(length, width))
    return PrefixPdu(draw(st.booleans()), afi, pack(afi, address, length), longest, draw(U32))


def pdus(version: int) -> st.SearchStrategy[Pdu]:
    intervals = st.builds(Intervals, U32, U32, U32) if version else st.none()
    words = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), max_size=40)
    printable = words.filter(lambda text: text.isprintable() and text == text.strip())
    kinds: list[st.SearchStrategy[Pdu]] = [
        prefixes(),
        st.builds(SerialNotify, U16, U32),
        st.builds(CacheResponse, U16),
        st.builds(EndOfData, U16, U32, intervals),
        st.just(CacheReset()),
        # One that is no answer ends a conversation, and so does not agree on a version.
        st.builds(ErrorReport, U16, printable),
    ]
    return st.one_of(*kinds, *([st.just(RouterKey())] if version else []))


@given(st.data(), st.sampled_from([0, 1]))
def test_what_is_encoded_is_read_however_it_is_cut(data: st.DataObject, version: int) -> None:
    sent = data.draw(st.lists(pdus(version), max_size=8))
    octets = b"".join(encode(pdu, version) for pdu in [CacheResponse(1), *sent])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=6)))
    reader = Reader(version)
    found: list[Pdu] = []
    for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
        found += reader.feed(octets[start:end])
    assert found == [CacheResponse(1), *sent]
    assert reader.error is None


@given(st.binary(max_size=200), st.sampled_from([0, 1]))
def test_junk_is_refused_or_waited_for_and_never_more(junk: bytes, version: int) -> None:
    reader = Reader(version)
    reader.feed(junk)
    reader.feed(bytes(MAX_LENGTH + 8))
    assert reader.error is not None
    assert reader.feed(encode(CacheReset(), version)) == []
    # The answer is one that can be read.
    answer = Reader(version).feed(error_report(version, reader.error))
    assert answer == [ErrorReport(reader.error.code, reader.error.what)]


@pytest.mark.parametrize(
    ("pdu", "version", "octets"),
    [
        (SerialNotify(0x1234, 7), 1, "01 00 1234 0000000c 00000007"),
        (CacheResponse(0x1234), 0, "00 03 1234 00000008"),
        (
            PrefixPdu(True, Afi.IPV4, nlri("192.0.2.0/24"), 25, 64500),
            1,
            "01 04 0000 00000014 01 18 19 00 c0000200 0000fbf4",
        ),
        (
            PrefixPdu(False, Afi.IPV6, nlri("2001:db8::/32"), 48, 64500),
            1,
            "01 06 0000 00000020 00 20 30 00 20010db8000000000000000000000000 0000fbf4",
        ),
        (EndOfData(5, 7, None), 0, "00 07 0005 0000000c 00000007"),
        (
            EndOfData(5, 7, Intervals(3600, 600, 7200)),
            1,
            "01 07 0005 00000018 00000007 00000e10 00000258 00001c20",
        ),
        (CacheReset(), 1, "01 08 0000 00000008"),
        (ErrorReport(2, "no"), 1, "01 0a 0002 00000012 00000000 00000002 6e6f"),
    ],
)
def test_pdus_are_as_the_rfc_draws_them(pdu: Pdu, version: int, octets: str) -> None:
    """RFC 8210 §5."""
    assert encode(pdu, version).hex() == octets.replace(" ", "")
    assert Reader(version).feed(bytes.fromhex(octets)) in ([pdu], [])


def test_queries_are_as_the_rfc_draws_them() -> None:
    """RFC 8210 §5.3, §5.4."""
    assert query(1, None).hex() == "0102000000000008"
    assert query(0, (0x1234, 9)).hex() == "000112340000000c00000009"


def agreed(version: int) -> Reader:
    reader = Reader(version)
    reader.feed(encode(CacheResponse(1), version))
    return reader


HUGE = bytes.fromhex("01040000 ffffffff")


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        ("01 04 0000 00000013 01 18 18 00 c0000200 0000fb", ErrorCode.CORRUPT_DATA),
        ("01 04 0000 00000014 01 21 21 00 c0000200 0000fbf4", ErrorCode.CORRUPT_DATA),
        ("01 04 0000 00000014 01 18 17 00 c0000200 0000fbf4", ErrorCode.CORRUPT_DATA),
        ("01 04 0000 00000014 01 18 21 00 c0000200 0000fbf4", ErrorCode.CORRUPT_DATA),
        ("01 06 0000 00000020 01 81 81 00" + "00" * 20, ErrorCode.CORRUPT_DATA),
        ("01 04 0000 ffffffff", ErrorCode.CORRUPT_DATA),
        ("01 0a 0000 00001001", ErrorCode.CORRUPT_DATA),
        ("01 03 0000 00000000", ErrorCode.CORRUPT_DATA),
        ("01 07 0000 0000000c 00000001", ErrorCode.CORRUPT_DATA),
        ("01 09 0000 0000001f", ErrorCode.CORRUPT_DATA),
        ("01 05 0000 00000008", ErrorCode.UNSUPPORTED_PDU_TYPE),
        ("01 0b 0000 00000008", ErrorCode.UNSUPPORTED_PDU_TYPE),
        ("01 ff 0000 00000008", ErrorCode.UNSUPPORTED_PDU_TYPE),
        ("01 01 0000 0000000c 00000001", ErrorCode.INVALID_REQUEST),
        ("01 02 0000 00000008", ErrorCode.INVALID_REQUEST),
        ("00 08 0000 00000008", ErrorCode.UNEXPECTED_PROTOCOL_VERSION),
        ("02 03 0000 00000008", ErrorCode.UNEXPECTED_PROTOCOL_VERSION),
    ],
)
def test_every_malformed_pdu_has_its_error(octets: str, code: ErrorCode) -> None:
    """RFC 8210 §12; the PDU is sent back, as far as there is reason to."""
    reader = agreed(1)
    sent = bytes.fromhex(octets)
    assert reader.feed(sent) == []
    assert reader.error is not None
    assert reader.error.code == code
    assert sent.startswith(reader.error.pdu)
    assert len(reader.error.pdu) >= 8


def test_a_router_key_means_nothing_to_version_0() -> None:
    """RFC 6810 §5."""
    reader = agreed(0)
    reader.feed(encode(RouterKey(), 0))
    assert reader.error is not None
    assert reader.error.code == ErrorCode.UNSUPPORTED_PDU_TYPE


def test_an_older_cache_may_answer_in_its_own_version() -> None:
    """RFC 8210 §7."""
    reader = Reader(1)
    assert reader.feed(encode(CacheResponse(3), 0)) == [CacheResponse(3)]
    assert (reader.version, reader.is_agreed) == (0, True)
    reader.feed(encode(CacheReset(), 1))
    assert reader.error is not None
    assert reader.error.code == ErrorCode.UNEXPECTED_PROTOCOL_VERSION


def test_a_newer_version_than_asked_for_is_refused() -> None:
    reader = Reader(0)
    reader.feed(encode(CacheResponse(3), 1))
    assert reader.error is not None
    assert reader.error.code == ErrorCode.UNSUPPORTED_PROTOCOL_VERSION


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_notify_before_the_first_answer_is_ignored(version: int) -> None:
    """RFC 8210 §7: regardless of its version."""
    reader = Reader(1)
    assert reader.feed(encode(SerialNotify(1, 1), version)) == []
    assert reader.feed(encode(CacheResponse(1), 1)) == [CacheResponse(1)]


def test_no_data_agrees_on_a_version_and_other_errors_do_not() -> None:
    reader = Reader(1)
    reader.feed(encode(ErrorReport(ErrorCode.UNSUPPORTED_PROTOCOL_VERSION, ""), 0))
    assert (reader.version, reader.is_agreed) == (1, False)
    reader.feed(encode(ErrorReport(ErrorCode.NO_DATA_AVAILABLE, ""), 0))
    assert (reader.version, reader.is_agreed) == (0, True)


def test_the_text_of_a_cache_is_fit_to_print() -> None:
    hostile = b"\x1b[2J\n" + "höhö".encode() + b"\xff" * 3 + b"x" * 300
    said = len(hostile).to_bytes(4, "big") + hostile
    octets = bytes.fromhex("010a0001") + (16 + len(hostile)).to_bytes(4, "big") + bytes(4) + said
    (found,) = Reader(1).feed(octets)
    assert isinstance(found, ErrorReport)
    assert found.text.startswith("[2Jhöhö")
    assert found.text.isprintable()
    assert len(found.text) == 200
    assert str(found).startswith("Internal Error: ")


def test_an_error_report_that_contradicts_itself_is_one_nevertheless() -> None:
    """RFC 8210 §5.11: an error is never answered with an error."""
    octets = bytes.fromhex("010a0009 00000010 ffffffff ffffffff")
    assert Reader(1).feed(octets) == [ErrorReport(9, "")]
    assert str(ErrorReport(9, "")) == "error 9"


def test_an_error_says_what_was_wrong_with_which_pdu() -> None:
    """RFC 8210 §5.11."""
    flaw = Flaw(ErrorCode.UNSUPPORTED_PDU_TYPE, bytes.fromhex("0105000000000008"), "no")
    expected = "010a0005 0000001a 00000008 0105000000000008 00000002 6e6f"
    assert error_report(1, flaw).hex() == expected.replace(" ", "")
    assert str(flaw.code) == "Unsupported PDU Type"
