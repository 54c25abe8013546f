profile | ca
title   | California: the Electronic Communications Privacy Act (CalECPA)

rests | Cal. Penal Code 1546.2 | Read in the code of 2024: notice with the execution of a warrant or, in an emergency, within three court days after the data were obtained; the court may delay it for 90 days at most, and extend by up to 90 days each; when the delay expires, notice is given.
rests | Cal. Penal Code 1524(a) | Read in a text from before CalECPA: the grounds of a search warrant.
rests | Cal. Penal Code 1534(a) | Read in the code of 2017: a warrant is executed and returned within 10 days after it is issued; then its records are open to the public.
rests | Cal. Penal Code 1546.1(a), 1546.1(b) | Read in part: a provider discloses by a warrant, a wiretap order, an order for reader records, for a pen register, or by a subpoena outside of criminal cases.
rests | Cal. Penal Code 1546, 1546.1(c), 1546.1(h), 1546.4(c) | Not read again: what an adverse result, electronic communication information and subscriber information are; emergencies, and the application to the court within three court days; a provider may petition the court to void or modify a warrant.

omits | wiretap orders, pen registers and subpoenas (1546.1(b)(2) to (5)): warrants only
omits | subscriber information that an agency obtains without a warrant: CalECPA does not guard it
omits | court days: three of them are three days here, and the grace is for days that are none
omits | tracking warrants of 30 days (1534(b)), emergency calls (1546.2(a)(2)), and the report to the Department of Justice if no target is known (1546.2(c))

seal.default                | 10d | design, Cal. Penal Code 1534(a), 1546.2(a)(1) | notice comes with the execution, for which there are 10 days
seal.longest                | 90d | Cal. Penal Code 1546.2(b)(1)
deferral.steps.0.after      | 0s  | Cal. Penal Code 1546.2(b)(2)
deferral.steps.0.kinds      | court | Cal. Penal Code 1546.2(b)(2)
deferral.steps.0.longest    | 90d | Cal. Penal Code 1546.2(b)(2)
deferral.steps.0.signatures | 1   | Cal. Penal Code 1546.2(b)(2)
deferral.total              | none | Cal. Penal Code 1546.2(b)(2) | no limit in all
deferral.never              | none | Cal. Penal Code 1546.2(b)(3) | when the delay expires, notice is given

categories | content metadata subscriber | design, Cal. Penal Code 1546 | the law has one warrant for contents and for data about a communication

instruments.calecpa-search-warrant | yes | Cal. Penal Code 1546.1(b)
instruments.calecpa-search-warrant.issuers | court | Cal. Penal Code 1546.1(b)(1)
instruments.calecpa-search-warrant.window | 10d | Cal. Penal Code 1534(a) | executed and returned within 10 days

emergency.open            | 5  | design | no figure in law
emergency.accounts        | 1  | design | no figure in law
emergency.decision.within | 3d | design, Cal. Penal Code 1546.1(h) | three court days to apply, and the court rules promptly; the grace is for days that are none
emergency.decision.grace  | 5d | design, Cal. Penal Code 1546.1(h)
emergency.categories      | none | design, Cal. Penal Code 1546.1(c)(6) | the law limits none
emergency.grounds         | calecpa-emergency | Cal. Penal Code 1546.1(c)(6) | danger of death or serious physical injury

offences              | arrest-warrant-fugitive child-exploitation computer-crime-fraud crime-of-violence homicide human-trafficking narcotics other theft-fraud threats-harassment | design | the classes of the state's own form for notifications
nonExecution          | data-not-held impossible inconsistent-with-law | design, Cal. Penal Code 1546.4(c) | a provider petitions the court if the warrant is inconsistent with law
grounds               | danger-to-safety evidence-tampering flight-from-prosecution jeopardy-to-investigation witness-intimidation evidence-of-child-exploitation evidence-of-felony means-of-felony possessed-with-intent stolen-or-embezzled | Cal. Penal Code 1524(a), 1546(a) | a warrant's grounds, and adverse results for a delay
reasons               | account-mismatch breach-open ended expired group-mismatch limits-exceeded mistake moot openings-mismatch overdue-bars package-mismatch quashed recipient-mismatch revoked superseded suspended unreadable | design
bars                  | anchor disclosure emergency missing-release | design
accessLife            | 10d | design, Cal. Penal Code 1534(a)
return.within         | 10d | design, Cal. Penal Code 1534(a) | here counted from the end of the warrant's window
return.grace          | 3d  | design

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
