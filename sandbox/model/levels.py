"""Three levels of assumptions: `low` recovers little, `high` recovers much."""

from sandbox.model.assumptions import Assumptions, Odds

LOW = Assumptions(
    name="low",
    odds={
        "funds": Odds(
            share=0.3,
            passes=0.22,
            not_before_hours=4,
            after_hours=12,
            for_hours=20,
            waits_for_payday=True,
            member_pays=0.09,
        ),
        "generic": Odds(
            share=0.26,
            passes=0.3,
            not_before_hours=2,
            after_hours=12,
            for_hours=30,
            member_pays=0.11,
        ),
        "do_not_honor": Odds(
            share=0.12,
            passes=0.2,
            not_before_hours=4,
            after_hours=20,
            for_hours=30,
            member_pays=0.11,
        ),
        "technical": Odds(
            share=0.035, passes=0.94, not_before_hours=0.4, after_hours=3, member_pays=0.02
        ),
        "expired": Odds(share=0.1, member_pays=0.26),
        "invalid": Odds(share=0.08, member_pays=0.2),
        "lost_or_fraud": Odds(share=0.07, member_pays=0.08),
        "authentication": Odds(share=0.035, member_pays=0.3),
    },
    funded_hours=24,
    funded_spread=0.8,
    trust_kept=0.90,
    night_patience=0.50,
    member_hours=20,
    mail_helps=0.5,
    mail_fades=0.86,
    mail_hours=6,
    leaves=0.08,
    leaves_per_decline=0.010,
)

MIDDLE = Assumptions(
    name="middle",
    odds={
        "funds": Odds(
            share=0.33,
            passes=0.22,
            not_before_hours=4,
            after_hours=12,
            for_hours=30,
            waits_for_payday=True,
            member_pays=0.09,
        ),
        "generic": Odds(
            share=0.28,
            passes=0.3,
            not_before_hours=2,
            after_hours=12,
            for_hours=48,
            member_pays=0.13,
        ),
        "do_not_honor": Odds(
            share=0.11,
            passes=0.22,
            not_before_hours=4,
            after_hours=20,
            for_hours=48,
            member_pays=0.13,
        ),
        "technical": Odds(
            share=0.045, passes=0.96, not_before_hours=0.4, after_hours=2.5, member_pays=0.02
        ),
        "expired": Odds(share=0.075, member_pays=0.34),
        "invalid": Odds(share=0.06, member_pays=0.26),
        "lost_or_fraud": Odds(share=0.055, member_pays=0.1),
        "authentication": Odds(share=0.045, member_pays=0.4),
    },
    funded_hours=36,
    funded_spread=0.8,
    trust_kept=0.94,
    night_patience=0.55,
    member_hours=16,
    mail_helps=0.6,
    mail_fades=0.86,
    mail_hours=5,
    leaves=0.05,
    leaves_per_decline=0.005,
)

HIGH = Assumptions(
    name="high",
    odds={
        "funds": Odds(
            share=0.38,
            passes=0.25,
            not_before_hours=4,
            after_hours=12,
            for_hours=40,
            waits_for_payday=True,
            member_pays=0.11,
        ),
        "generic": Odds(
            share=0.29,
            passes=0.33,
            not_before_hours=2,
            after_hours=12,
            for_hours=72,
            member_pays=0.15,
        ),
        "do_not_honor": Odds(
            share=0.08,
            passes=0.25,
            not_before_hours=4,
            after_hours=20,
            for_hours=72,
            member_pays=0.15,
        ),
        "technical": Odds(
            share=0.055, passes=0.98, not_before_hours=0.3, after_hours=2, member_pays=0.02
        ),
        "expired": Odds(share=0.06, member_pays=0.4),
        "invalid": Odds(share=0.05, member_pays=0.32),
        "lost_or_fraud": Odds(share=0.05, member_pays=0.12),
        "authentication": Odds(share=0.035, member_pays=0.48),
    },
    funded_hours=60,
    funded_spread=0.8,
    trust_kept=0.97,
    night_patience=0.70,
    member_hours=12,
    mail_helps=0.7,
    mail_fades=0.86,
    mail_hours=4,
    leaves=0.02,
    leaves_per_decline=0.002,
)

LEVELS = {level.name: level for level in (LOW, MIDDLE, HIGH)}
