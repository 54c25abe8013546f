# The provider signs and logs the access that the agency asks for.
vasistas sign --payload letter.access --key messenger.pem --out letter.event
vasistas append --policy policy.txt letter.event
