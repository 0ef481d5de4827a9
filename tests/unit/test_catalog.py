"""Looking schemas up."""

from holdfast.schemas.catalog import newest_by_subject, schemas_by_id


def test_a_schema_is_found_by_its_id_and_by_its_subject() -> None:
    started = newest_by_subject()["holdfast.event.v1.WorkflowStarted"]
    assert schemas_by_id()[started.id] == started
    assert started.name == "WorkflowStarted"
    assert started.parsed()["name"] == "WorkflowStarted"


def test_what_producers_write_is_the_newest_version_of_each_record() -> None:
    versions: dict[str, int] = {}
    for schema in schemas_by_id().values():
        versions[schema.subject] = max(schema.version, versions.get(schema.subject, 0))
    assert {subject: schema.version for subject, schema in newest_by_subject().items()} == versions
