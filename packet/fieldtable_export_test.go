package packet

// RuleIDs returns the ids of the rules that the .proto files set, with and without a
// text of their own.
func RuleIDs() (told, untold []string, err error) {
	all, err := newSchema()
	if err != nil {
		return nil, nil, err
	}
	for _, m := range all {
		for _, r := range m.checks {
			if m.ruleText(r.id) != nil {
				told = append(told, r.id)
			} else {
				untold = append(untold, r.id)
			}
		}
	}
	return told, untold, nil
}
