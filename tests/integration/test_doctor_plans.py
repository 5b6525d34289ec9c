"""What the doctor's statements cost: they read no table that grows with the tasks."""

from taskmill.storage.doctor import HOT_TABLES
from tests.support.plans import check, explaining
from tests.support.stage import Stage

STATEMENTS: dict[str, tuple[object, ...]] = {
    "count_connections": (),
    "has_hidden_sessions": (),
    "list_abandoned_claims": (20,),
    "list_lease_lengths": (1_000,),
    "list_lock_waits": (20, 0.5),
    "list_snapshot_holders": (20,),
    "list_table_states": (list(HOT_TABLES),),
    "read_server_settings": (["fsync"],),
}
OURS = {"lease", "running"}


async def test_no_statement_of_the_doctor_reads_what_grows_with_the_tasks(stage: Stage) -> None:
    lease = await stage.open_lease()
    for _ in range(50):
        await stage.created()
    await stage.running(lease)
    async with explaining(stage.database) as session:
        for name, arguments in STATEMENTS.items():
            _, plan = await session.fetch(name, *arguments)
            check(plan, rows=20_000, pages=2_000, name=name)
            tables = {
                node["Relation Name"]
                for node in plan.nodes()
                if not node.get("Relation Name", "pg_").startswith("pg_")
            }
            assert tables <= OURS, name
