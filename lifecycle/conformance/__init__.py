"""L7. Behaviour cases for adapters of the ports, run by pytest (extra `conformance`).

`store_suite`, `sink_suite` and `mailer_suite` hold one class per port. The test of an adapter
subclasses it and supplies one fixture; it inherits every case.
"""

import pytest

pytest.register_assert_rewrite(
    "lifecycle.conformance._store_commits",
    "lifecycle.conformance._store_concurrency",
    "lifecycle.conformance._store_erasure",
    "lifecycle.conformance._store_keeping",
    "lifecycle.conformance._store_mails",
    "lifecycle.conformance._store_sharing",
    "lifecycle.conformance._store_streams",
    "lifecycle.conformance._store_timers",
    "lifecycle.conformance._store_values",
    "lifecycle.conformance.mailer_suite",
    "lifecycle.conformance.sink_suite",
    "lifecycle.conformance.store_suite",
)
