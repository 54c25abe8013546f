# The provider logs the access to letter.age for which the agency has signed.
member() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" $2; }
cat > access.json <<END
{"warrant": {"index": $(member index warrant.result), "leaf": "$(member leaf warrant.result)"}, "group": "main",
 "recipient": $(cat case.key.pub), "accounts": 1}
END
vasistas sign --type access --origin example.com/warrants --id $(member id consent.json) --body access.json --until $(cat until) \
  --public unit=legal --subject account=ada@example.org --subject agencySignature=$(member agencySignature consent.json) \
  --subject package=$(vasistas escrow show --json letter.age | sed 's/.*"package": *"\([^"]*\)".*/\1/') \
  --key messenger.pem --out access.event --openings access.openings
vasistas append --policy policy.txt --openings access.openings --out access.tlog-proof access.event
