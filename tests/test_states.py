"""The table of edges: what design.md draws, nothing more; the graph; what each status demands."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pytest
from flask import Flask

from payment_service.domain import states
from payment_service.domain.states import EDGES, Trigger, Verdict
from payment_service.domain.vocabulary import DEAD
from payment_service.domain.vocabulary import PaymentStatus as S

ON_EVIDENCE = {S.SUCCESS, S.AUTHORIZED}
DRAWN: dict[S, set[S]] = {
    S.PENDING: {S.PROCESSING, S.SUCCESS, S.FAILED, S.CANCELLED},
    S.PROCESSING: {
        S.SUCCESS, S.FAILED, S.REQUIRES_ACTION, S.AUTHORIZED, S.CANCELLED, S.EXPIRED,
    },
    # To itself while the end of the wait is asked of the provider: the payer may still act.
    S.REQUIRES_ACTION: {
        S.REQUIRES_ACTION, S.AUTHORIZED, S.SUCCESS, S.FAILED, S.CANCELLED, S.EXPIRED,
    },
    S.AUTHORIZED: {S.PROCESSING, S.SUCCESS, S.CANCELLED, S.EXPIRED},
    S.SUCCESS: {S.PARTIALLY_REFUNDED, S.REFUNDED},
    S.PARTIALLY_REFUNDED: {S.PARTIALLY_REFUNDED, S.REFUNDED, S.SUCCESS},
    S.REFUNDED: {S.PARTIALLY_REFUNDED, S.SUCCESS},
    S.FAILED: ON_EVIDENCE,
    S.CANCELLED: ON_EVIDENCE,
    S.EXPIRED: ON_EVIDENCE,
}  # fmt: skip


def test_the_table_leads_where_the_design_says_and_nowhere_else() -> None:
    found: dict[S, set[S]] = defaultdict(set)
    for (start, _, _), edge in EDGES.items():
        found[start].add(edge.to)
    assert dict(found) == DRAWN


def test_only_evidence_leads_out_of_a_dead_end_and_it_is_counted() -> None:
    for (start, trigger, verdict), edge in EDGES.items():
        if start in DEAD:
            assert edge.contradicts, (start, trigger, verdict)
            assert verdict is Verdict.APPROVED
        if edge.contradicts:
            assert start in {*DEAD, S.AUTHORIZED}


def test_a_person_moves_only_what_is_pending() -> None:
    by_hand = {(start, edge.to) for (start, by, _), edge in EDGES.items() if by is Trigger.PERSON}
    assert by_hand == {(S.PENDING, S.SUCCESS), (S.PENDING, S.FAILED), (S.PENDING, S.CANCELLED)}


def test_every_edge_emits_an_event_in_the_past_tense() -> None:
    for edge in EDGES.values():
        noun, _, fact = edge.event.partition(".")
        assert noun == "payment"
        assert fact.endswith(("ed", "ing", "action", "taken_back")), edge.event


def test_an_edge_that_is_not_there_is_refused() -> None:
    missing = [key for key in itertools.product(S, Trigger, Verdict) if key not in EDGES]
    for start, trigger, verdict in missing:
        with pytest.raises(states.IllegalEdge):
            states.edge(start, trigger, verdict)


def test_flask_states_prints_all_of_it(app: Flask) -> None:
    printed = app.test_cli_runner().invoke(args=["states"])
    assert printed.exit_code == 0, printed.output
    assert printed.output.startswith("digraph payment {")
    assert printed.output.count(" -> ") == len(EDGES)
