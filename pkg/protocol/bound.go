package protocol

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the subjects that a topic is bound to.
const (
	MaxSubjects      = 16
	MaxSubjectLength = 255
)

// checkSubjects returns an error if the topic cannot be bound to its subjects. Overlaps
// with other topics and streams are checked by the registry.
func (c TopicConfig) checkSubjects() error {
	switch {
	case len(c.Subjects) == 0:
		return nil
	case c.Partitions > 1:
		return Errorf(CodeInvalidRequest, "only a topic of one partition can be bound to subjects, and this one has %d; "+
			"create it without subjects and spread them over its partitions by: laneway topic mapping %s", c.Partitions, c.Name)
	case len(c.Subjects) > MaxSubjects:
		return Errorf(CodeInvalidRequest, "%d subjects, allowed are %d", len(c.Subjects), MaxSubjects)
	}
	for i, s := range c.Subjects {
		if err := CheckSubject(s); err != nil {
			return err
		}
		for _, earlier := range c.Subjects[:i] {
			if SubjectsOverlap(s, earlier) {
				return Errorf(CodeSubjectOverlap, "%s overlaps with %s of the same topic", s, earlier)
			}
		}
	}
	return nil
}

// CheckSubject returns an *Error if users cannot bind a topic to a subject: it is not
// valid, or it matches subjects of NATS or Laneway. The subject may have wildcards.
func CheckSubject(subject string) error {
	if !validSubject(subject) {
		return Errorf(CodeInvalidSubject, "%.80q", subject)
	}
	if mapsSubject(subject) {
		return Errorf(CodeInvalidSubject, "%.80q is the target of a NATS subject mapping, which belongs into the configuration of NATS; "+
			"print one by: laneway topic mapping", subject)
	}
	first, _, _ := strings.Cut(subject, ".")
	switch {
	case first == "*" || first == ">":
		return Errorf(CodeSubjectOverlap, "%s begins with a wildcard, so it overlaps with $JS.>, _INBOX.> and laneway.>", subject)
	case first == "laneway", first[0] == '$', first[0] == '_':
		return Errorf(CodeSubjectOverlap, "%s overlaps with %s.>: names that begin with $ or _, and laneway, belong to NATS and Laneway",
			subject, first)
	}
	return nil
}

// mapsSubject reports whether a subject has a function of NATS' subject mappings, such
// as {{partition(4,1)}}, or refers to a wildcard, such as $1. NATS does not evaluate them
// in a subscription, so no publisher would reach such a subject.
func mapsSubject(subject string) bool {
	return strings.Contains(subject, "{{") || wildcardReference.MatchString(subject)
}

var wildcardReference = regexp.MustCompile(`(^|\.)\$[0-9]+(\.|$)`)

// validSubject reports whether NATS accepts a subscription to the subject. It must be
// printable, and a wildcard must be a whole token.
func validSubject(subject string) bool {
	if len(subject) > MaxSubjectLength || !utf8.ValidString(subject) {
		return false
	}
	if strings.ContainsFunc(subject, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return false
	}
	tokens := strings.Split(subject, ".")
	for i, token := range tokens {
		switch {
		case token == "", token == ">" && i < len(tokens)-1:
			return false
		case len(token) > 1 && strings.ContainsAny(token, "*>"):
			return false
		}
	}
	return true
}

// SubjectsOverlap reports whether some message matches both subjects. They must be valid
// and may have wildcards: "a.*" and "*.b" overlap, because "a.b" matches both.
func SubjectsOverlap(a, b string) bool {
	for {
		tokenA, restA, moreA := strings.Cut(a, ".")
		tokenB, restB, moreB := strings.Cut(b, ".")
		switch {
		case tokenA == ">" || tokenB == ">":
			return true
		case tokenA != tokenB && tokenA != "*" && tokenB != "*", moreA != moreB:
			return false
		case !moreA:
			return true
		}
		a, b = restA, restB
	}
}
