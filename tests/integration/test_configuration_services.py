from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pipes import drafting, secrets, services, store
from pipes.core.fields import Kind
from pipes.core.loading import wanted_from
from pipes.core.wanted import kind_of
from pipes.models import Item, Pipe, Revision, Server
from pipes.refusals import Invalid
from redundancy.core.events import Event, EventKind
from redundancy.signals import event_emitted
from tests.integration.plants import A, B, P, document_of, make_plant, nodes

pytestmark = pytest.mark.django_db


def changed(plan: services.Plan) -> list[tuple[str, str, str]]:
    return [(str(each.kind), str(each.key), str(each.action)) for each in plan.changes]


class TestDocuments:
    def test_a_document_applied_is_the_document_answered(self) -> None:
        whole = document_of(nodes(1), nodes(2, direction="both", note="Süd"))
        services.apply_document(whole, user="anna", reason="first")
        answered = services.document()
        assert [item["id"] for item in answered["items"]] == [1, 2]  # type: ignore[index,union-attr,call-overload]
        plan = services.plan_document(answered)
        assert plan.counts == {"add": 0, "change": 0, "delete": 0, "same": 5, "error": 0}
        assert services.digest() == services.digest(answered)

    def test_a_revision_says_who_when_why_and_what(self) -> None:
        make_plant(1)
        revision = Revision.objects.get()
        assert (revision.number, revision.user, revision.reason) == (1, "anna", "plant")
        assert revision.counts == {"add": 4, "change": 0, "delete": 0, "same": 0, "error": 0}
        assert revision.digest == services.digest()
        assert abs(revision.at.timestamp() - time.time()) < 60
        rows: Any = services.revision_rows(1).body()["rows"]
        assert [(row["kind"], row["key"], row["action"]) for row in rows][3] == ("item", "1", "add")

    def test_the_digest_before_the_first_revision_is_that_of_nothing(self) -> None:
        assert services.current_revision() == 0
        assert services.digest() == services.digest(services.document())

    def test_replacing_deletes_and_merging_does_not(self) -> None:
        make_plant(2)
        one = {**nodes(1), "note": "x"}
        merged = services.plan_document(document_of(one), mode="merge")
        assert changed(merged) == [("item", "1", "change")]
        replaced = services.plan_document(document_of(one))
        assert changed(replaced) == [("item", "1", "change"), ("item", "2", "delete")]

    def test_merging_leaves_absent_fields_and_replacing_puts_defaults(self) -> None:
        services.apply_document(document_of(nodes(1, note="x")), user="u", reason="")
        assert services.plan_document(document_of(nodes(1)), mode="merge").counts["change"] == 0
        (change,) = services.plan_document(document_of(nodes(1))).changes
        assert change.fields() == {"note": {"old": "x", "new": ""}}

    def test_a_plan_changes_nothing_and_a_plan_without_change_makes_no_revision(self) -> None:
        make_plant(1)
        services.plan_document(document_of())
        plan = services.apply_document(services.document(), user="u", reason="again")
        assert (plan.revision, plan.dry_run) == (None, False)
        assert services.current_revision() == 1

    def test_one_wrong_object_refuses_the_whole_and_names_its_row(self) -> None:
        make_plant(1)
        whole = document_of(nodes(1), nodes(2), {**nodes(3), "direction": "sideways"})
        plan = services.plan_document(whole)
        assert plan.counts["error"] == 1
        with pytest.raises(services.Invalid) as caught:
            services.apply_document(whole, user="u", reason="")
        (error,) = caught.value.errors
        assert (error.row, error.field, error.value) == (3, "direction", "sideways")
        assert str(caught.value) == "row 3: direction must be forward, reverse or both"
        assert Item.objects.count() == 1

    def test_what_is_no_document_is_refused_before_its_objects(self) -> None:
        with pytest.raises(services.Invalid, match="format must be"):
            services.plan_document({"items": []})
        with pytest.raises(services.Invalid, match="mode must be merge or replace"):
            services.plan_document(document_of(), mode="mix")

    def test_a_document_that_replaces_must_name_every_part(self) -> None:
        make_plant()
        forgetful = {"format": "mirrorsite", "version": 1, "items": []}

        with pytest.raises(
            services.Invalid, match=r"servers is missing.*\[\].*mode=merge"
        ) as caught:
            services.apply_document(forgetful, user="u", reason="")

        assert [error.field for error in caught.value.errors] == ["servers", "pipes"]
        assert services.plan_document(forgetful, mode="merge").counts["delete"] == 0
        assert services.plan_document({**forgetful, "servers": [], "pipes": []}).counts["delete"]

    def test_a_stale_base_is_refused(self) -> None:
        make_plant()
        with pytest.raises(services.Stale) as caught:
            services.apply_document(document_of(), user="u", reason="", base_revision=0)
        assert caught.value.revision == 1


class TestServers:
    def test_a_server_is_made_changed_and_deleted(self) -> None:
        made = services.create_server(A, user="anna", reason="new")
        assert (made.revision, made.complete()["endpoint"]) == (1, A["endpoint"])
        changed = services.change_server("a", {"note": "north"}, user="anna", base_revision=1)
        assert (changed.revision, changed.note, changed.pk) == (2, "north", made.pk)
        back = services.change_server("A", {"note": None}, user="anna")
        assert back.complete()["note"] == ""
        services.delete_server("A", user="anna")
        assert Server.objects.count() == 0
        assert services.current_revision() == 4

    def test_a_change_that_changes_nothing_answers_the_object_as_it_is(self) -> None:
        services.create_server(A, user="u")
        assert services.change_server("A", dict(A), user="u").revision == 1

    def test_a_name_in_use_is_a_conflict_without_regard_to_case(self) -> None:
        services.create_server(A, user="u")
        services.create_server(B, user="u")
        with pytest.raises(services.Conflict) as caught:
            services.create_server({**A, "name": "a"}, user="u")
        assert caught.value.code == "name_in_use"
        with pytest.raises(services.Conflict):
            services.change_server("A", {"name": "b"}, user="u")
        assert services.change_server("A", {"name": "a"}, user="u").name == "a"

    def test_a_stale_object_is_answered_as_it_is_now(self) -> None:
        services.create_server(A, user="u")
        services.create_server(B, user="u")
        services.change_server("B", {"note": "x"}, user="u")
        assert services.change_server("A", {"note": "y"}, user="u", base_revision=1).note == "y"
        with pytest.raises(services.Stale) as caught:
            services.delete_server("B", user="u", base_revision=2)
        assert caught.value.current is not None
        assert (caught.value.revision, caught.value.current["note"]) == (3, "x")

    def test_a_used_server_is_not_deleted(self) -> None:
        make_plant()
        with pytest.raises(services.Referenced, match="server A is used by the pipes P;"):
            services.delete_server("A", user="u")

    def test_what_is_not_there_is_not_found(self) -> None:
        with pytest.raises(services.NotFound):
            services.change_server("X", {}, user="u")
        with pytest.raises(services.NotFound):
            services.delete_item(5, user="u")
        with pytest.raises(services.NotFound):
            services.change_item(5, {}, user="u")

    def test_a_new_name_is_followed_by_pipes_and_items(self) -> None:
        make_plant(1)
        services.change_server("A", {"name": "North"}, user="u")
        pipe = services.change_pipe("P", {"name": "Q"}, user="u")
        assert pipe.complete()["source"] == "North"
        assert Item.objects.get().complete()["pipe"] == "Q"
        assert Item.objects.get().pipe == pipe

    def test_two_servers_exchange_their_names_in_a_restore(self) -> None:
        make_plant()
        before = services.document()
        services.change_server("A", {"name": "C"}, user="u")
        services.change_server("B", {"name": "A"}, user="u")
        services.change_server("C", {"name": "B"}, user="u")
        keys = dict(Server.objects.values_list("name", "pk"))
        services.restore(1, user="u", reason="")
        assert services.document() == before
        assert dict(Server.objects.values_list("name", "pk")) == {"A": keys["B"], "B": keys["A"]}


class TestSecrets:
    def test_a_password_is_kept_encrypted_and_answered_nowhere(self) -> None:
        made = services.create_server({**A, "password": "geheim-1"}, user="u")
        assert made.has_password
        assert made.complete()["password"] is None
        assert secrets.decrypt(made.secret) == "geheim-1"
        revision = Revision.objects.get()
        shown = repr(
            (
                services.document(),
                services.revision_rows(1).body(),
                store.unpack(bytes(revision.changes)),
                made.secret,
                services.plan_document(document_of(servers=[{**A, "password": "geheim-2"}])).body(),
            )
        )
        assert "geheim" not in shown
        assert "•••" in shown

    def test_absent_and_null_keep_it_and_empty_takes_it_away(self) -> None:
        services.create_server({**A, "password": "geheim"}, user="u")
        assert services.change_server("A", {"password": None, "note": "x"}, user="u").has_password
        services.apply_document(document_of(pipes=[]), user="u", reason="")
        assert Server.objects.get(name="A").has_password
        assert not services.change_server("A", {"password": ""}, user="u").has_password

    def test_the_same_password_again_is_no_change(self) -> None:
        services.create_server({**A, "password": "geheim"}, user="u")
        assert services.change_server("A", {"password": "geheim"}, user="u").revision == 1
        assert services.change_server("A", {"password": "other"}, user="u").revision == 2

    def test_a_wrong_password_is_refused_without_being_shown(self) -> None:
        with pytest.raises(services.Invalid) as caught:
            services.create_server({**A, "password": "gehe\x00im"}, user="u")
        assert caught.value.errors[0].field == "password"
        assert "gehe" not in repr(caught.value.errors)

    def test_restoring_keeps_todays_password_even_through_a_rename(self) -> None:
        services.create_server({**A, "password": "old"}, user="u")
        services.change_server("A", {"name": "C", "password": "new"}, user="u")
        services.restore(1, user="u", reason="")
        assert secrets.decrypt(Server.objects.get(name="A").secret) == "new"

    def test_a_key_that_was_lost_is_said_by_name(self, tmp_path: Path, monkeypatch: Any) -> None:
        stored = secrets.encrypt("geheim")
        monkeypatch.setattr(secrets, "_key_path", lambda: tmp_path / "pki" / "secrets.key")
        with pytest.raises(secrets.SecretError, match="type it again"):
            secrets.decrypt(stored)
        assert (tmp_path / "pki" / "secrets.key").stat().st_mode & 0o777 == 0o600
        assert secrets.encrypt("") == secrets.decrypt("") == ""
        (tmp_path / "other").write_text("no key")
        monkeypatch.setattr(secrets, "_key_path", lambda: tmp_path / "other")
        with pytest.raises(secrets.SecretError, match="is no key"):
            secrets.encrypt("x")


class TestPipesAndItems:
    def test_a_pipe_with_items_is_deleted_only_with_them(self) -> None:
        make_plant(7)
        with pytest.raises(services.Referenced, match="1, 2, 3, 4, 5 and 2 more"):
            services.delete_pipe("P", user="u")
        services.delete_pipe("P", user="u", with_items=True)
        assert (Pipe.objects.count(), Item.objects.count()) == (0, 0)

    def test_a_single_item_lives_and_its_id_is_not_used_again(self) -> None:
        make_plant()
        made = services.create_item(nodes(1), user="u")
        assert made.pk == 1
        changed = services.change_item(1, {"enabled": False, "status": {}, "id": 9}, user="u")
        assert (changed.pk, changed.enabled) == (1, False)
        services.delete_item(1, user="u")
        assert services.create_item(nodes(1), user="u").pk == 2

    def test_the_same_mapping_twice_is_a_conflict(self) -> None:
        make_plant(1)
        with pytest.raises(services.Conflict) as caught:
            services.create_item(nodes(1), user="u")
        assert caught.value.code == "exists"

    def test_many_items_come_change_and_go_in_one_revision_each(self) -> None:
        make_plant()
        bodies = [nodes(number) for number in range(5)]
        dry = services.create_items(bodies, user="u", dry_run=True)
        assert (dry.revision, Item.objects.count()) == (None, 0)
        made = services.create_items(bodies, user="u")
        assert (made.ids, made.revision) == ([1, 2, 3, 4, 5], 2)
        patches = [{"id": number, "note": "x"} for number in made.ids]
        assert services.change_items(patches, user="u", base_revision=2).counts["change"] == 5
        assert services.delete_items([1, 2], user="u").counts["delete"] == 2
        assert services.current_revision() == 4

    def test_one_wrong_entry_of_a_list_refuses_all(self) -> None:
        make_plant(2)
        with pytest.raises(services.Invalid) as caught:
            services.create_items([nodes(5), nodes(1), {"pipe": "P"}], user="u")
        assert [error.row for error in caught.value.errors] == [2, 3, 3]
        with pytest.raises(services.Invalid, match="row 2: id names 9, but there is no such item"):
            services.change_items([{"id": 1, "note": "x"}, {"id": 9}, {}, {"id": "a"}], user="u")
        with pytest.raises(services.Invalid, match="row 1: ids names 9, but there is no such item"):
            services.delete_items([9, 1], user="u")
        with pytest.raises(services.Invalid):
            services.delete_items(["x"], user="u")  # type: ignore[list-item]
        assert Item.objects.count() == 2

    def test_rows_add_and_change_and_replace_speaks_of_the_named_pipes(self) -> None:
        make_plant(2)
        services.create_pipe({**P, "name": "Q"}, user="u")
        services.create_item(nodes(7, pipe="Q"), user="u")
        rows: list[drafting.RawRow] = [(2, nodes(1, note="x")), (3, nodes(9))]
        assert services.plan_items(rows).counts == {
            "add": 1, "change": 1, "delete": 0, "same": 0, "error": 0,
        }  # fmt: skip
        plan = services.apply_items(rows, user="u", reason="", mode="replace")
        assert changed(plan) == [
            ("item", "1", "change"),
            ("item", "4", "add"),
            ("item", "2", "delete"),
        ]

    def test_what_an_operator_may_change_can_be_told(self) -> None:
        make_plant(1)
        assert services.changed_fields("item", 1, {"enabled": False, "note": ""}) == {"enabled"}
        assert services.changed_fields("pipe", "p", {"enabled": True}) == frozenset()
        assert services.changed_fields(
            Kind.ITEM, 1, {"transform": {"kind": "linear", "gain": "x"}, "note": "x"}
        ) == {"note", "transform"}
        assert services.changed_fields("server", "A", {"password": "x"}) == {"password"}

    def test_the_kind_that_a_pipe_with_queues_gives_is_shown_and_is_no_change(self) -> None:
        make_plant(1)
        services.change_pipe("P", {"overflow": "queue"}, user="u")

        assert Item.objects.get(pk=1).complete()["kind"] == "queue"
        assert services.changed_fields("item", 1, {"kind": "queue"}) == frozenset()
        assert services.changed_fields("item", 1, {"kind": "state"}) == {"kind"}

    def test_a_state_on_a_pipe_with_queues_stays_one_until_it_is_taken_back(self) -> None:
        make_plant(2)
        services.change_pipe("P", {"overflow": "queue"}, user="u")

        services.change_item(1, {"kind": "state", "minimum_interval_ms": 100}, user="u")
        assert Item.objects.get(pk=1).complete()["kind"] == "state"
        configuration = store.read().configuration
        wanted = wanted_from(configuration, {}).pipes["P"]
        assert [kind_of(item, wanted) for item in wanted.items.values()] == ["state", "queue"]

        same = services.change_items([item.complete() for item in Item.objects.all()], user="u")
        assert (len(same.changes), same.same) == (0, 2)

        services.change_item(1, {"kind": None, "minimum_interval_ms": None}, user="u")
        assert Item.objects.get(pk=1).complete()["kind"] == "queue"

    def test_a_minimum_interval_does_not_go_with_the_queue_that_the_pipe_gives(self) -> None:
        make_plant(1)
        services.change_pipe("P", {"overflow": "queue"}, user="u")

        with pytest.raises(Invalid) as refused:
            services.change_item(1, {"minimum_interval_ms": 100}, user="u")

        (error,) = refused.value.errors
        assert error.field == "minimum_interval_ms"


class TestRevisions:
    def test_every_revision_can_be_restored(self) -> None:
        digests = {make_plant(2): services.digest()}
        services.change_item(1, {"note": "x"}, user="u")
        digests[2] = services.digest()
        services.change_pipe("P", {"name": "Q"}, user="u")
        digests[3] = services.digest()
        services.delete_pipe("Q", user="u", with_items=True)
        digests[4] = services.digest()
        services.apply_document(document_of(nodes(1), nodes(3)), user="u", reason="")
        for number, digest in digests.items():
            services.plan_restore(number)
            plan = services.restore(number, user="u", reason="")
            assert services.digest() == digest
            assert services.digest(services.document_of(number)) == digest
            made = Revision.objects.get(number=plan.revision)
            assert made.reason == f"restore of revision {number}"

    def test_a_restored_item_has_its_own_id(self) -> None:
        make_plant(2)
        services.delete_item(1, user="u")
        services.create_item(nodes(9), user="u")
        services.restore(1, user="u", reason="")
        assert sorted(Item.objects.values_list("pk", flat=True)) == [1, 2]
        assert services.create_item(nodes(10), user="u").pk == 4

    def test_a_revision_that_is_not_there_is_not_found(self) -> None:
        make_plant()
        for number in (0, 2):
            with pytest.raises(services.NotFound):
                services.restore(number, user="u", reason="")
            with pytest.raises(services.NotFound):
                services.revision_rows(number)

    def test_a_damaged_history_is_not_restored(self) -> None:
        make_plant(1)
        services.change_item(1, {"note": "x"}, user="u")
        services.change_item(1, {"note": "y"}, user="u")
        Revision.objects.filter(number=3).update(changes=store.pack([]))
        with pytest.raises(services.Conflict) as caught:
            services.restore(2, user="u", reason="")
        assert caught.value.code == "damaged"


class TestNamespaces:
    def test_an_import_with_indices_finds_the_items_kept_by_uri(self) -> None:
        make_plant(1)
        Server.objects.filter(name="A").update(namespaces=["", "", "", "urn:a"])
        Server.objects.filter(name="B").update(namespaces=["", "", "urn:b"])
        rows: list[drafting.RawRow] = [
            (2, {"pipe": "P", "source_node": "ns=3;s=T1", "target_node": "ns=2;s=T1"})
        ]
        assert services.plan_items(rows).counts["same"] == 1

    def test_restoring_keeps_the_letters_of_the_revision(self) -> None:
        make_plant()
        services.create_item({**nodes(1), "source_node": "ns=3;s=T1"}, user="u")
        Server.objects.filter(name="A").update(namespaces=["", "", "", "urn:a"])
        changed = services.change_item(1, {"source_node": "ns=3;s=T1"}, user="u")
        assert changed.source_node == "nsu=urn:a;s=T1"
        services.restore(2, user="u", reason="")
        assert Item.objects.get().source_node == "ns=3;s=T1"

    def test_another_endpoint_has_another_table(self) -> None:
        make_plant()
        Server.objects.update(namespaces=["", "", "urn:a"])
        services.change_server("A", {"endpoint": "opc.tcp://127.0.0.1:1"}, user="u")
        assert list(Server.objects.values_list("namespaces", flat=True)) == [[], ["", "", "urn:a"]]


class TestNotices:
    def test_a_revision_is_an_event_and_pokes_the_supervisor(
        self, django_capture_on_commit_callbacks: Any, monkeypatch: Any
    ) -> None:
        heard: list[Event] = []
        poked: list[Any] = []

        def hear(event: Event, **_: Any) -> None:
            heard.append(event)

        monkeypatch.setattr("redundancy.command.call", lambda *args, **_: poked.append(args[1:]))
        event_emitted.connect(hear)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                make_plant(1)
        finally:
            event_emitted.disconnect(hear)
        (event,) = heard
        assert (event.kind, event.code, event.user) == (
            EventKind.CONFIGURATION,
            "REVISION_APPLIED",
            "anna",
        )
        assert event.message == "revision 1: 4 added"
        assert poked == [("configuration_changed", {"revision": 1})]

    def test_no_supervisor_is_no_error(self, django_capture_on_commit_callbacks: Any) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            assert make_plant() == 1
