"""What is asked for when leads are flagged: the flag, a reason and a comment, once for all of them."""

from __future__ import annotations

from typing import Any

from django import forms

from leads.models import Flag, ReasonCode
from leads.skin import Select, Textarea, TextInput

OWN_REASON_CHARS = 200
COMMENT_CHARS = 10_000
FLAGS = [(flag.value, flag.label) for flag in Flag if flag]


class FlagForm(forms.Form):
    flag = forms.ChoiceField(
        choices=FLAGS, widget=forms.RadioSelect, label="Flag", error_messages={"required": "Choose one."}
    )
    reason_code = forms.CharField(required=False, label="Reason code", widget=Select)
    own_reason = forms.CharField(
        required=False,
        label="or in your own words",
        max_length=OWN_REASON_CHARS,
        widget=TextInput,
        help_text="Takes the place of the reason code.",
    )
    comment = forms.CharField(
        required=False,
        max_length=COMMENT_CHARS,
        widget=Textarea(attrs={"rows": 3}),
        help_text="Whoever sent the lead reads it.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        codes = ReasonCode.objects.filter(active=True)
        self.fields["reason_code"].widget.choices = [
            ("", "No reason code"),
            *((label, [(code.code, _named(code)) for code in codes if code.flag == flag]) for flag, label in FLAGS),
        ]

    def params(self) -> dict[str, Any]:
        """For leads.bulk.FLAG. A reason code of another flag is left out: it was chosen before the flag."""
        said = self.cleaned_data
        flag, code = said.get("flag", ""), said.get("reason_code", "")
        if code and not ReasonCode.objects.filter(code=code, flag=flag, active=True).exists():
            code = ""
        own = said.get("own_reason", "").strip()
        return {"flag": flag, "reason_code": own or code, "comment": said.get("comment", "").strip()}


def _named(code: ReasonCode) -> str:
    return f"{code.code} – {code.label}" if code.label else code.code


def counted(number: int, noun: str = "lead") -> str:
    """1 lead, 1,204 leads."""
    return f"{number:,} {noun if number == 1 else noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"
