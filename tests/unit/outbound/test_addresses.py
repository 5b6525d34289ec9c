"""Which addresses may be called."""

from ipaddress import ip_address

import pytest

from taskmill.outbound.addresses import AddressRules
from taskmill.settings.values import PortRange
from taskmill.wire.urls import target_of

NOT_GLOBAL = [
    *("127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.3.4", "192.168.1.1"),  # noqa: S104
    *("169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "203.0.113.7"),
    *("168.63.129.16", "::ffff:168.63.129.16", "::ffff:0:7f00:1", "1::1", "4000::1", "e000::1"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.88.99.1"),
    *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
    *("2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::1", "2001:0:7f00:1::", "2001:0:808:808::", "100::1", "3fff::1", "5f00::1"),
]
GLOBAL = [
    *("8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"),
    *("::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808"),
]


@pytest.mark.parametrize("text", NOT_GLOBAL)
def test_what_is_not_global_is_refused(text: str) -> None:
    assert not AddressRules().admits(ip_address(text))


@pytest.mark.parametrize("text", GLOBAL)
def test_what_is_global_is_admitted(text: str) -> None:
    assert AddressRules().admits(ip_address(text))


def test_an_allowed_network_is_admitted_in_every_form_and_nothing_beside_it() -> None:
    rules = AddressRules(["10.1.0.0/16", "fd00::/8", "127.0.0.1"])
    admitted = ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd00::1", "127.0.0.1"]
    assert [text for text in admitted if not rules.admits(ip_address(text))] == []
    for text in ("10.2.0.1", "::ffff:10.2.0.1", "127.0.0.2", "::1", "fe80::1"):
        assert not rules.admits(ip_address(text)), text


def test_a_name_is_allowed_as_it_is_and_below_a_star() -> None:
    rules = AddressRules(["Hooks.internal", "*.svc.local."])
    rules_of_names = {
        "a.svc.local": True,
        "svc.local": False,
        "hooks.internal": True,
        "a.hooks.internal": False,
        "internal": False,
        "evilhooks.internal": False,
    }
    for name, is_allowed in rules_of_names.items():
        assert rules.allows_host(name) is is_allowed, name
    assert AddressRules(["*.svc.local"]).allows_host("a.svc.local")
    assert not AddressRules(["*.svc.local"]).allows_host("svc.local")
    assert not AddressRules(["*.svc.local"]).allows_host("asvc.local")


@pytest.mark.parametrize(
    ("url", "is_called"),
    [
        ("https://shop.example/", True),
        ("HTTPS://shop.example:443/", True),
        ("https://shop.example:8000/", True),
        ("https://shop.example:8999/", True),
        ("https://shop.example:7999/", False),
        ("https://shop.example:9000/", False),
        ("http://shop.example:443/", False),
        ("http://shop.example/", False),
    ],
)
def test_a_scheme_and_a_port_are_called_only_if_the_settings_allow_both(
    url: str, *, is_called: bool
) -> None:
    ports = [PortRange(443, 443), PortRange(8000, 8999)]
    rules = AddressRules(https_only=True, ports=ports)
    refusal = rules.refusal_of(target_of(url))
    assert (refusal is None) == is_called, refusal
    assert AddressRules().refusal_of(target_of(url)) is None, "unless they say so, all are"
