package topic

import (
	"strings"
	"testing"

	"laneway.dev/cmd/laneway/cli/clitest"
	"laneway.dev/pkg/protocol"
)

func TestMapping(t *testing.T) {
	topic := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders", Partitions: 4}}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, `"orders.*": "laneway.produce.orders.{{partition(4,1)}}"`},
		{[]string{"--subject", "shop.*.orders.*"}, `"shop.*.orders.*": "laneway.produce.orders.{{partition(4,1,2)}}"`},
		{[]string{"--subject", "shop.*.orders.*", "--wildcards", "2"}, `"shop.*.orders.*": "laneway.produce.orders.{{partition(4,2)}}"`},
		{[]string{"--subject", "shop.*.orders.*", "--wildcards", "2,1"}, `"shop.*.orders.*": "laneway.produce.orders.{{partition(4,2,1)}}"`},
	} {
		var g grammar
		if err := clitest.Parse(t, &g, append([]string{"topic", "mapping", "orders"}, c.args...)...); err != nil {
			t.Fatal(err)
		}
		command := g.Topic.Mapping
		got := mapping(topic, command.subject(), command.Wildcards)
		if !strings.HasPrefix(got, "# ") || !strings.HasSuffix(got, "mappings {\n  "+c.want+"\n}\n") {
			t.Errorf("%q prints\n%s\nwant %s", c.args, got, c.want)
		}
	}
}

func TestRejectsBoundSubject(t *testing.T) {
	bound := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "shop", Partitions: 1, Subjects: []string{"shop.>"}}}
	if err := free("shop.*", []protocol.Topic{bound}); err == nil || !strings.Contains(err.Error(), "topic shop") {
		t.Errorf("error %v", err)
	}
	if err := free("orders.*", []protocol.Topic{bound}); err != nil {
		t.Error(err)
	}
}

func TestRejectsSubjectThatCannotBeMapped(t *testing.T) {
	for subject, want := range map[string]string{
		"orders":                "no *",
		"orders.>":              "ends in >",
		"orders.*.>":            "ends in >",
		"orders..*":             "INVALID_SUBJECT",
		"*.orders":              "SUBJECT_OVERLAP",
		"laneway.produce.own.*": "SUBJECT_OVERLAP",
	} {
		err := clitest.Parse(t, &grammar{}, "topic", "mapping", "orders", "--subject", subject)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--subject %s: error %v, want one with %q", subject, err, want)
		}
	}
	if err := clitest.Parse(t, &grammar{}, "topic", "mapping", "orders", "--wildcards", "2"); err == nil || !strings.Contains(err.Error(), "which has 1") {
		t.Errorf("a * that is not there: error %v", err)
	}
}
