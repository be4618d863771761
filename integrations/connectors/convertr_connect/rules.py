"""The rules that the client's instance checks leads by and shows this publisher: their lists and simple conditionals.

The facts (section 10) know that there are such rules, and no address of theirs: these are the ones that an instance of this
portal answers at. Another instance answers 404, which is said in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from integrations.connectors.convertr_connect.instance import host, refusal, rules_url
from integrations.kit.answers import plain_text
from integrations.kit.contract import Call, ConnectorError, Flow, RemoteRule, Request, Response, RulePage
from integrations.kit.redaction import storable

MAX_RULES, MAX_PAGE, MAX_VALUES, VALUE_CHARS, ID_CHARS = 1_000, 20_000, 200, 500, 40
_YES = (True, 1, "1", "true")


def rules(call: Call) -> Flow[tuple[RemoteRule, ...]]:
    """Every rule that is shown, whatever campaign of theirs it belongs to. ConnectorError where there is no such list."""
    response = yield Request("GET", rules_url(call), bearer=call.token)
    data = _answer(call, response)
    if not isinstance(data, list):
        raise ConnectorError(f"{host(call)} answers, but its list of rules can't be read.")
    return tuple(rule for item in data[:MAX_RULES] if (rule := _rule(item)) is not None)


def rule_values(call: Call, rule_id: str, behind: str) -> Flow[RulePage]:
    """A part of a list's values, in the form in which their instance compares them."""
    response = yield Request(
        "GET", rules_url(call, rule_id), query={"after": behind} if behind else {}, bearer=call.token
    )
    data = _answer(call, response)
    listed = data.get("values") if isinstance(data, dict) else None
    # Half a list would refuse leads that they take.
    whole = isinstance(listed, list) and len(listed) <= MAX_PAGE and all(isinstance(each, str) for each in listed)
    if not isinstance(data, dict) or not isinstance(listed, list) or not whole:
        raise ConnectorError(f"{host(call)} answers, but the values of its list can't be read.")
    following = data.get("next")
    following = storable(following)[:VALUE_CHARS] if isinstance(following, str) else ""
    if following and following == behind:
        raise ConnectorError(f"{host(call)} gives the values of its list without an end.")
    return RulePage(plain_text(data.get("version"), 100), tuple(listed), following)


def _answer(call: Call, response: Response) -> Any:
    if response.status == 404:
        raise ConnectorError(
            f"{host(call)} shows you no such rules. Ask your client to show a list or a condition to its publishers."
        )
    if response.status != 200:
        raise refusal(call, response)
    return None if response.cut else response.json()


def _rule(item: Any) -> RemoteRule | None:
    """One rule; None for what is of a kind that is not known, or has no id."""
    if not isinstance(item, dict) or item.get("type") not in ("list", "conditional"):
        return None
    given = item.get("id")
    rule_id = plain_text(given, ID_CHARS + 1) if not isinstance(given, float) else ""
    if not rule_id or len(rule_id) > ID_CHARS:
        return None
    count = item.get("count")
    return RemoteRule(
        rule_id,
        item["type"],
        plain_text(item.get("name"), 200) or f"Rule {rule_id}",
        plain_text(item.get("field"), 200),
        plain_text(item.get("campaign"), 200),
        plain_text(item.get("version"), 100),
        wanted=item.get("wanted", True) in _YES,
        several=item.get("several") in _YES,
        empty_fails=item.get("emptyFails") in _YES,
        count=count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 0,
        operator=plain_text(item.get("operator"), 40),
        values=tuple(_values(item.get("values"))),
    )


def _values(listed: Any) -> Iterator[str]:
    for value in listed[:MAX_VALUES] if isinstance(listed, list) else ():
        if isinstance(value, str) and (text := storable(value)[:VALUE_CHARS]):
            yield text
