# The court signed a warrant AGO seconds ago, sealed until UNTIL seconds from now. It is logged.
stamp() { date -u -d @$(($(date +%s) + $1)) +%Y-%m-%dT%H:%M:%SZ; }
cat > warrant.json <<END
{"decision": "granted", "provider": "messenger", "instrument": "calecpa-search-warrant", "offence": "homicide",
 "accounts": 1, "accesses": 1, "notBefore": "$(stamp -60)", "notAfter": "$(stamp 7200)"}
END
vasistas sign --type warrant --origin example.com/warrants --body warrant.json --time $(stamp -${AGO:-0}) --until $(stamp $UNTIL) \
  --public agency=police --public agencyKey=@police.pem.pub --public grounds=means-of-felony \
  --subject 'case=7 Js 12/26' --subject identifier=ada@example.org --key court.pem --out warrant.event --openings warrant.openings
vasistas append --policy policy.txt --openings warrant.openings --out warrant.tlog-proof warrant.event
