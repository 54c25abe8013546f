profile | us
title   | United States, federal: stored communications and delayed-notice warrants

rests | 18 USC 2705 | Read in the code of March 2026: delay of 90 days at most; adverse results (A) to (E); extensions of up to 90 days each, by the court or by certification; when the delay expires, notice is due. A court may forbid the provider to tell anyone, for as long as it deems appropriate.
rests | 18 USC 3103a(b), (c), (d) | Read in the same code: notice within 30 days at most after execution, or on a later date certain if the facts justify it; extensions by the court for good cause, of 90 days or less unless the facts justify longer; the judge reports within 30 days after the warrant and its extensions expire. The two exceptions for longer periods are not in this profile: it allows the rule only.
rests | 18 USC 2702(b)(8), 2702(c)(4), 2703 | Read in the same code: contents by a warrant, or with notice by an order or a subpoena if stored with a remote computing service; records by a warrant or an order, without notice to the subscriber; name, address and connection records by a subpoena too; preservation on request, for 90 days and again 90. In an emergency a provider may disclose, and need not.
rests | Fed. R. Crim. P. 41(e)(2) | Read in court decisions that quote it: 14 days to execute a warrant; for stored information that is the time to seize or copy it, not to review it.

omits | subpoenas (2703(b)(1)(B)(i), 2703(c)(2)): no court issues them. Subscriber data are here those of a warrant or an order
omits | contents by an order of 2703(d), which the text still allows for remote storage: here they need a warrant
omits | that the law demands no notice of records (2703(c)(3)) or of a warrant for contents (2703(b)(1)(A)): here all is disclosed, and 3103a and 2705 give the figures
omits | orders that forbid the provider to tell (2705(b)), which have no figure
omits | preservation requests (2703(f)): an agency sends them, without a court
omits | wiretaps, pen registers (18 USC 2510 ff., 3121 ff.), national security letters and orders under FISA

seal.default                | 30d | design, 18 USC 3103a(b)(3) | the law states the longest, and no usual time
seal.longest                | 30d | 18 USC 3103a(b)(3) | the exception for a later date certain is not taken
deferral.steps.0.after      | 0s  | 18 USC 2705(a)(4), 3103a(c)
deferral.steps.0.kinds      | court | 18 USC 2705(a)(4), 3103a(c) | 2705 also lets the agency certify; that is not taken
deferral.steps.0.longest    | 90d | 18 USC 2705(a)(4), 3103a(c)
deferral.steps.0.signatures | 1   | 18 USC 2705(a)(4), 3103a(c)
deferral.total              | none | 18 USC 2705(a)(4), 3103a(c) | no limit in all
deferral.never              | none | 18 USC 2705(a)(5) | when a delay expires, notice is due

categories | content records subscriber | 18 USC 2703(a), 2703(c)

instruments.usc-3103a-warrant | yes | 18 USC 3103a(b)
instruments.usc-3103a-warrant.issuers | court | 18 USC 3103a(b)(1)
instruments.usc-3103a-warrant.window | 14d | Fed. R. Crim. P. 41(e)(2)(A) | a warrant is executed within 14 days
instruments.usc-2703-warrant  | yes | 18 USC 2703(a)
instruments.usc-2703-warrant.category | content | 18 USC 2703(a)
instruments.usc-2703-warrant.with | records subscriber | 18 USC 2703(c)(1)(A), 2703(c)(2)
instruments.usc-2703-warrant.issuers | court | 18 USC 2703(a)
instruments.usc-2703-warrant.window | 14d | Fed. R. Crim. P. 41(e)(2)(A)
instruments.usc-2703-order    | yes | 18 USC 2703(d)
instruments.usc-2703-order.category | records | 18 USC 2703(c)(1)(B)
instruments.usc-2703-order.with | subscriber | 18 USC 2703(c)(2)
instruments.usc-2703-order.issuers | court | 18 USC 2703(d)
instruments.usc-2703-order.window | 90d | design, 18 USC 2703(d) | no figure in law; as long as one delay
instruments.usc-2703-order.seal.default | 90d | design, 18 USC 2705(a)(1)
instruments.usc-2703-order.seal.longest | 90d | design, 18 USC 2705(a)(1) | the law's figure, for orders that demand notice; those for records demand none

emergency | none | design, 18 USC 2702(b)(8), 2702(c)(4) | the provider decides; no court and no time are named, so there is no figure to ship

nonExecution          | conflict-of-law data-not-held undue-burden voluminous | design, 18 USC 2703(d), 2703(h) | a provider moves to quash on these grounds, data-not-held apart
offences              | child-exploitation computer-crime drugs fraud homicide kidnapping organised-crime other public-corruption robbery terrorism trafficking | design
grounds               | endangering-life evidence-tampering flight-from-prosecution jeopardy-to-investigation probable-cause specific-facts witness-intimidation | design, 18 USC 2703, 2705(a)(2) | undue delay of a trial alone is no ground under 3103a(b)(1)
reasons               | account-mismatch breach-open ended expired group-mismatch limits-exceeded mistake moot openings-mismatch overdue-bars package-mismatch quashed recipient-mismatch revoked superseded suspended unreadable | design
bars                  | anchor disclosure missing-release | design
accessLife            | 14d | design, Fed. R. Crim. P. 41(e)(2)(A) | a warrant is executed within 14 days
return.within         | 30d | design, 18 USC 3103a(d)(1) | the judge's report, which the law counts from the end of the delay
return.grace          | 7d  | design

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
