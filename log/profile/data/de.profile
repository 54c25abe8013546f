profile | de
title   | Germany: covert measures under the Code of Criminal Procedure (StPO), and restrictions under the Article 10 Act (G 10)

rests | StPO 101(5), 101(6) | Read in a stored consolidated text: notice as soon as it endangers nothing; past 12 months after the end of the measure, further deferral needs the court, which sets its length and may consent to none at all; 6 months for 100c. That text is older than the act of 2017, which added 100b: the 6 months of 100b were not read again.
rests | StPO 100e(1) | Read: the court orders; in an emergency the prosecution may, and the order lapses unless the court confirms it within three working days; three months at most.
rests | StPO 100a(2), 100e(2), 101b | Not read again. 100a(2) is used for the list of statutes that its catalogue names only.
rests | G 10 12(1) | Read: after 12 months the G10 commission must consent, and it sets the length; no notice at all only if it finds unanimously that a reason still stands five years after the end, and will.
rests | G 10 3(1), 15(1) | Not read again. A unanimous vote is 5 signatures here: founders must check how many members vote.

# How long values are sealed, from the warrant's time. The 12 months of 101(6)
# run from the end of the measure, so this never outlasts them.
seal.default                 | 90d  | design, StPO 100e(1), 101(5) | the longest order, three months, rounded
seal.longest                 | 365d | StPO 101(6) | beyond it the court must consent
deferral.steps.0.after       | 0s   | StPO 101(5)
deferral.steps.0.longest     | 90d  | design, StPO 101(5) | no figure in law; reasons go on file each time
deferral.steps.0.signatures  | 1    | design, StPO 101(5) | the law lets the prosecution decide; here an authority of the charter signs
deferral.steps.1.after       | 365d | StPO 101(6) | 12 months after the measure ends
deferral.steps.1.kinds       | court | StPO 101(6)
deferral.steps.1.longest     | 365d | design, StPO 101(6) | the court sets the length; the law has no figure
deferral.steps.1.signatures  | 1    | StPO 101(6)
deferral.total               | none | StPO 101(6) | no limit in all
deferral.never.after         | 366d | StPO 101(6)
deferral.never.kinds         | court | StPO 101(6)
deferral.never.signatures    | 1    | StPO 101(6)

# Instruments.
instruments.stpo-100a | yes | StPO 100a(1)
instruments.stpo-100a.window | 89d | StPO 100e(1) | three months
instruments.stpo-100b | yes | StPO 100b(1)
instruments.stpo-100b.window | 28d | StPO 100e(2) | one month
instruments.stpo-100c | yes | StPO 100c(1)
instruments.stpo-100c.window | 28d | StPO 100e(2) | one month
instruments.g10-3     | yes | G 10 3(1)
instruments.g10-3.window | 89d | design, G 10 10(5) | three months; not read again
instruments.stpo-100b.seal.default                | 28d  | design, StPO 100e(2) | the longest order, one month, rounded
instruments.stpo-100b.seal.longest                | 181d | StPO 101(6) | six months
instruments.stpo-100b.deferral.steps.0.after      | 0s   | StPO 101(5)
instruments.stpo-100b.deferral.steps.0.longest    | 90d  | design, StPO 101(5)
instruments.stpo-100b.deferral.steps.0.signatures | 1    | design, StPO 101(5)
instruments.stpo-100b.deferral.steps.1.after      | 181d | StPO 101(6) | six months after the measure ends
instruments.stpo-100b.deferral.steps.1.kinds      | court | StPO 101(6)
instruments.stpo-100b.deferral.steps.1.longest    | 181d | design, StPO 101(6)
instruments.stpo-100b.deferral.steps.1.signatures | 1    | StPO 101(6)
instruments.stpo-100b.deferral.total              | none | StPO 101(6)
instruments.stpo-100b.deferral.never.after        | 184d | StPO 101(6)
instruments.stpo-100b.deferral.never.kinds        | court | StPO 101(6)
instruments.stpo-100b.deferral.never.signatures   | 1    | StPO 101(6)
instruments.stpo-100c.seal.default                | 28d  | design, StPO 100e(2) | the longest order, one month, rounded
instruments.stpo-100c.seal.longest                | 181d | StPO 101(6) | six months
instruments.stpo-100c.deferral.steps.0.after      | 0s   | StPO 101(5)
instruments.stpo-100c.deferral.steps.0.longest    | 90d  | design, StPO 101(5)
instruments.stpo-100c.deferral.steps.0.signatures | 1    | design, StPO 101(5)
instruments.stpo-100c.deferral.steps.1.after      | 181d | StPO 101(6) | six months after the measure ends
instruments.stpo-100c.deferral.steps.1.kinds      | court | StPO 101(6)
instruments.stpo-100c.deferral.steps.1.longest    | 181d | design, StPO 101(6)
instruments.stpo-100c.deferral.steps.1.signatures | 1    | StPO 101(6)
instruments.stpo-100c.deferral.total              | none | StPO 101(6)
instruments.stpo-100c.deferral.never.after        | 184d | StPO 101(6)
instruments.stpo-100c.deferral.never.kinds        | court | StPO 101(6)
instruments.stpo-100c.deferral.never.signatures   | 1    | StPO 101(6)
instruments.g10-3.deferral.steps.0.after      | 0s   | G 10 12(1)
instruments.g10-3.deferral.steps.0.longest    | 90d  | design, G 10 12(1)
instruments.g10-3.deferral.steps.0.signatures | 1    | design, G 10 12(1)
instruments.g10-3.deferral.steps.1.after      | 365d | G 10 12(1) | 12 months after the measure ends
instruments.g10-3.deferral.steps.1.kinds      | g10-commission | G 10 12(1)
instruments.g10-3.deferral.steps.1.longest    | 365d | design, G 10 12(1) | the commission sets the length; the law has no figure
instruments.g10-3.deferral.steps.1.signatures | 1    | design, G 10 12(1) | the commission's decision, signed by one for all
instruments.g10-3.deferral.total              | none | G 10 12(1)
instruments.g10-3.deferral.never.after        | 1827d | G 10 12(1) | five years after the measure ends
instruments.g10-3.deferral.never.kinds        | g10-commission | G 10 12(1)
instruments.g10-3.deferral.never.signatures   | 5    | design, G 10 12(1), 15(1) | unanimous: every member signs

# Emergencies: danger in delay.
emergency.open            | 5  | design | no figure in law
emergency.accounts        | 1  | design | no figure in law
emergency.decision.within | 3d | design, StPO 100e(1) | three working days; the grace is for days that are none
emergency.decision.grace  | 5d | design, StPO 100e(1)
emergency.grounds         | danger-in-delay | StPO 100e(1)

# Codes.
offences              | antidopg ao asylg aufenthg awg btmg g10-3 gueg kwkg npsg stgb vstgb waffg | design, StPO 100a(2), G 10 3(1) | the statutes that the catalogues name
grounds               | assets bodily-integrity danger-to-purpose detriment-to-state investigation liberty life suspicion | design, StPO 100a(1), 101(5), G 10 12(1)
reasons               | account-mismatch breach-open ended expired group-mismatch limits-exceeded mistake moot openings-mismatch overdue-bars package-mismatch quashed recipient-mismatch revoked superseded unreadable | design
bars                  | anchor disclosure emergency missing-release | design
accessLife            | 7d  | design
return.within         | 90d | design, StPO 101b | statistics are yearly
return.grace          | 30d | design

# Operation: no law says these, the machine needs them.
publication           | 60s | design | heads are published once a minute
inclusion             | 10m | design | an auditor waits so long for an event that it was given directly
lag                   | 7d  | design | a warrant signed before a long weekend can still be logged
skew                  | 3m  | design | cosignature times may be a spread apart, and a head is two publications old
spread                | 60s | design | witnesses whose clocks differ by more don't meet a policy together
witnessTimeout        | 15s | design
round                 | 5m  | design | auditors have so long for one head
budget.events         | 1000 | design | of one custodian or auditor
budget.interval       | 1d  | design
stale                 | 1h  | design | older cosignatures don't count at a gate
unfulfilled           | 7d  | design | an overdue that lasted so long is a breach
disclosureGrace       | 1d  | design | the log discloses by itself; this covers an outage
anchor.within         | 1h  | design
anchor.grace          | 1h  | design
heartbeat.within      | 1d  | design
heartbeat.grace       | 6h  | design
missingRelease.within | 1h  | design
missingRelease.grace  | 1h  | design
