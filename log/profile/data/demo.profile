profile | demo
title   | Demonstration: CalECPA with seconds for days

rests | Cal. Penal Code 1546.1, 1546.2 | As in the profile ca, with one second for each day. No log that anybody relies on may use it.

omits | the law itself: seconds stand for days, and the codes for what a row of the data says

# The figures of law, scaled.
seal.default                | 10s | design, Cal. Penal Code 1534(a), 1546.2(a)(1) | 10 days
seal.longest                | 90s | design, Cal. Penal Code 1546.2(b)(1) | 90 days
deferral.steps.0.after      | 0s  | design, Cal. Penal Code 1546.2(b)(2)
deferral.steps.0.longest    | 90s | design, Cal. Penal Code 1546.2(b)(2) | 90 days
deferral.steps.0.signatures | 1   | design, Cal. Penal Code 1546.2(b)(2)
deferral.total              | none | design, Cal. Penal Code 1546.2(b)(2)
deferral.never              | none | design, Cal. Penal Code 1546.2(b)(3)

categories   | none | design | the rows of the data name no categories that compare
nonExecution | none | design | the data has no answers of providers

instruments.calecpa-search-warrant | yes | Cal. Penal Code 1546.1(b)
instruments.calecpa-search-warrant.window | 10s | design, Cal. Penal Code 1534(a) | 10 days

emergency.open            | 1000 | design | the data has 197 emergencies, and no decisions on them
emergency.accounts        | 1  | design
emergency.decision.within | 3s | design, Cal. Penal Code 1546.1(h) | three court days
emergency.decision.grace  | 5s | design, Cal. Penal Code 1546.1(h)
emergency.grounds         | calecpa-emergency | Cal. Penal Code 1546.1(c)(6)

# Codes: those of ca, and those for what a row of the data does not say.
offences              | arrest-warrant-fugitive child-exploitation computer-crime-fraud crime-of-violence homicide human-trafficking narcotics other theft-fraud threats-harassment not-stated several withheld | design
grounds               | danger-to-safety evidence-tampering flight-from-prosecution jeopardy-to-investigation witness-intimidation evidence-of-child-exploitation evidence-of-felony means-of-felony possessed-with-intent stolen-or-embezzled not-stated withheld | design, Cal. Penal Code 1524(a), 1546(a)
reasons               | account-mismatch breach-open ended expired group-mismatch limits-exceeded mistake moot openings-mismatch overdue-bars package-mismatch quashed recipient-mismatch revoked superseded suspended unreadable | design
bars                  | anchor disclosure emergency missing-release | design
accessLife            | 10s | design, Cal. Penal Code 1534(a) | 10 days
return.within         | 10s | design, Cal. Penal Code 1534(a) | 10 days
return.grace          | 3s  | design

# Operation. Claims may be old, since a demonstration signs its events first.
publication           | 1s  | design
inclusion             | 5s  | design
lag                   | 1h  | design
skew                  | 5s  | design
spread                | 3s  | design
witnessTimeout        | 1s  | design
round                 | 5s  | design
budget.events         | 1000 | design
budget.interval       | 1m  | design
stale                 | 20s | design
unfulfilled           | 30s | design
disclosureGrace       | 5s  | design
anchor.within         | 15s | design
anchor.grace          | 10s | design
heartbeat.within      | 5s  | design
heartbeat.grace       | 5s  | design
missingRelease.within | 5s  | design
missingRelease.grace  | 5s  | design
