profile | de
title   | Germany: covert measures under the Code of Criminal Procedure (StPO), and restrictions under the Article 10 Act (G 10)

rests | StPO 101(5), 101(6) | Read in a consolidated text of December 2021: notice as soon as it endangers nothing; past 12 months after the end of the measure, further deferral needs the court, which sets its length and may consent to none at all; 6 months for 100b and 100c.
rests | StPO 100e(1), 100e(2) | Read in the same text: the court orders; in an emergency the prosecution may, and the order lapses unless the court confirms it within three working days; three months at most, one month for 100b and 100c, and prolonged by as much.
rests | StPO 100g, 101a(1), 101a(6) | Read in the same text: traffic data are ordered as 100a is; every deferral of notice needs the court, the first for 12 months at most.
rests | StPO 100j | Read in the same text: subscriber data on demand of the investigators, by the court only for passwords and codes; notice as soon as it defeats nothing, and only for those and for the holder of an IP address.
rests | StPO 100a(2), 101b | Read in the same text, and not later acts. 100a(2) is used for the list of statutes that its catalogue names only.
rests | G 10 3(1), 10(1), 10(5), 15(1), 15(6), 15a | Read in a text of July 2021: a ministry orders, for three months at most; the commission consents before the measure begins or, in an emergency, one member confirms it within three working days; it has a chair and four members.
rests | G 10 12(1) | Read in the same text: after 12 months the G10 commission must consent, and it sets the length; no notice at all only if it finds unanimously that a reason still stands five years after the end, and will. A unanimous vote is 5 signatures here.

omits | that a prosecutor decides on the first deferral (101(5)): here an authority of the charter signs
omits | that 100j(4) has no figures for the notice of subscriber data: those of 101 apply here
omits | working days: three of them are three days here, and the grace is for days that are none
omits | the Higher Regional Court that prolongs 100b and 100c beyond six months (100e(2)): the charter sets it above the others
omits | passwords and codes (100j(1) sentences 2 and 3), usage data of other services (100k), radio cells (100g(3)), stored traffic data of TKG 176
omits | seizure of stored mail (94, 99), police law of the Federation and the Laender, strategic restrictions of G 10 5 and 8, the BND act
omits | persons whose notice is left out since they have no interest or others' interests prevail (101(4) sentences 3 to 5)

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
categories   | content subscriber traffic | StPO 100a(1), 100g(1), 100j(1)
nonExecution | data-not-held | design, StPO 101b(5), 101b(6) | the statistics count orders without result, wholly or in part; the law has no other ground

instruments.stpo-100a | yes | StPO 100a(1), 100e(1), 100j(1)
instruments.stpo-100a.window | 89d | StPO 100a(1), 100e(1), 100j(1) | three months
instruments.stpo-100a.category | content | StPO 100a(1), 100e(1), 100j(1)
instruments.stpo-100a.with | subscriber traffic | StPO 100a(1), 100e(1), 100j(1)
instruments.stpo-100a.issuers | court | StPO 100a(1), 100e(1), 100j(1)
instruments.stpo-100b | yes | StPO 100b(1), 100e(2)
instruments.stpo-100b.window | 28d | StPO 100b(1), 100e(2) | one month
instruments.stpo-100b.category | content | StPO 100b(1), 100e(2)
instruments.stpo-100b.issuers | court | StPO 100b(1), 100e(2) | a chamber of the regional court
instruments.stpo-100c | yes | StPO 100c(1), 100e(2)
instruments.stpo-100c.window | 28d | StPO 100c(1), 100e(2) | one month
instruments.stpo-100c.category | content | StPO 100c(1), 100e(2)
instruments.stpo-100c.issuers | court | StPO 100c(1), 100e(2) | a chamber of the regional court
instruments.stpo-100g | yes | StPO 100g(1), 100j(1), 101a(1)
instruments.stpo-100g.window | 89d | StPO 100g(1), 100j(1), 101a(1) | three months
instruments.stpo-100g.category | traffic | StPO 100g(1), 100j(1), 101a(1)
instruments.stpo-100g.with | subscriber | StPO 100g(1), 100j(1), 101a(1)
instruments.stpo-100g.issuers | court | StPO 100g(1), 100j(1), 101a(1)
instruments.stpo-100j | yes | StPO 100j(1)
instruments.stpo-100j.window | 28d | design, StPO 100j(5) | data are sent without delay; no figure in law
instruments.stpo-100j.category | subscriber | StPO 100j(1)
instruments.stpo-100j.issuers | court police prosecution | design, StPO 100j(1) | the law names no authority, and the court for passwords only
instruments.g10-3 | yes | G 10 3(1), 10, 15(6)
instruments.g10-3.window | 89d | G 10 3(1), 10, 15(6) | three months
instruments.g10-3.category | content | G 10 3(1), 10, 15(6)
instruments.g10-3.with | subscriber traffic | G 10 3(1), 10, 15(6) | data that an order for contents brings along
instruments.g10-3.validated | federal-ministry land-ministry | G 10 3(1), 10, 15(6)
instruments.g10-3.validators | g10-commission | G 10 3(1), 10, 15(6) | it consents before the measure begins
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
instruments.stpo-100g.seal.default                | 90d  | design, StPO 101a(6) | the longest order; beyond it, only the court may defer
instruments.stpo-100g.seal.longest                | 90d  | design, StPO 101a(6)
instruments.stpo-100g.deferral.steps.0.after      | 0s   | StPO 101(6), 101a(6)
instruments.stpo-100g.deferral.steps.0.kinds      | court | StPO 101(6), 101a(6)
instruments.stpo-100g.deferral.steps.0.longest    | 365d | StPO 101(6), 101a(6) | 12 months for the first; the court sets the length of others
instruments.stpo-100g.deferral.steps.0.signatures | 1    | StPO 101(6), 101a(6)
instruments.stpo-100g.deferral.total              | none | StPO 101(6), 101a(6)
instruments.stpo-100g.deferral.never.after        | 366d | StPO 101(6), 101a(6)
instruments.stpo-100g.deferral.never.kinds        | court | StPO 101(6), 101a(6)
instruments.stpo-100g.deferral.never.signatures   | 1    | StPO 101(6), 101a(6)
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
emergency.decision.within | 3d | design, StPO 100e(1), G 10 15a(2) | three working days; the grace is for days that are none
emergency.decision.grace  | 5d | design, StPO 100e(1), G 10 15a(2)
emergency.categories      | none | design, StPO 100e(1), 101a(1) | each has emergencies, stored traffic data of TKG 176 apart
emergency.grounds         | danger-in-delay | StPO 100e(1), G 10 15a(1)

# Codes.
offences              | antidopg ao asylg aufenthg ausgstg awg btmg g10-3 gueg kwkg npsg stgb vstgb waffg | design, StPO 100a(2), G 10 3(1) | the statutes that the catalogues name
grounds               | assets bodily-integrity danger-to-purpose detriment-to-state investigation liberty life suspicion | design, StPO 100a(1), 101(5), G 10 12(1)
reasons               | account-mismatch breach-open ended expired group-mismatch limits-exceeded mistake moot openings-mismatch overdue-bars package-mismatch quashed recipient-mismatch revoked superseded suspended unreadable | design
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
