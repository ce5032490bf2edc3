package vcard_test

import (
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/vcard"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

func element(t testing.TB, text string) xml.Element {
	t.Helper()
	if err := xml.Check([]byte(text), xml.Limits{}); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	el, _ := xml.First([]byte(text), ns.Client)
	return el
}

// Each pair says the same in both forms.
var pairs = []struct{ name, temp, four string }{
	{"name", "<FN>Ann &amp; Bob</FN>", "<fn><text>Ann &amp; Bob</text></fn>"},
	{"birthday", "<BDAY>1476-06-09</BDAY>", "<bday><date>1476-06-09</date></bday>"},
	{"home page", "<URL>https://example.org/</URL>", "<url><uri>https://example.org/</uri></url>"},
	{"parts of the name", "<N><FAMILY>Fielding</FAMILY><GIVEN>Ann</GIVEN></N>",
		"<n><surname>Fielding</surname><given>Ann</given><additional/><prefix/><suffix/></n>"},
	{"telephone", "<TEL><WORK/><FAX/><NUMBER>+49 1</NUMBER></TEL>",
		"<tel><parameters><type><text>work</text><text>fax</text></type></parameters><text>+49 1</text></tel>"},
	{"mail", "<EMAIL><PREF/><USERID>ann@example.org</USERID></EMAIL>",
		"<email><parameters><pref><integer>1</integer></pref></parameters><text>ann@example.org</text></email>"},
	{"address", "<ADR><HOME/><LOCALITY>Bonn</LOCALITY><CTRY>DE</CTRY></ADR>",
		"<adr><parameters><type><text>home</text></type></parameters><pobox/><ext/><street/><locality>Bonn</locality><region/><code/><country>DE</country></adr>"},
	{"address of XMPP", "<JABBERID>ann@example.org</JABBERID>", "<impp><uri>xmpp:ann@example.org</uri></impp>"},
	{"organisation", "<ORG><ORGNAME>XSF</ORGNAME><ORGUNIT>Council</ORGUNIT><ORGUNIT>Board</ORGUNIT></ORG>",
		"<org><text>XSF</text><text>Council</text><text>Board</text></org>"},
	{"picture", "<PHOTO><TYPE>image/png</TYPE><BINVAL>aGVsbG8=</BINVAL></PHOTO>", "<photo><uri>data:image/png;base64,aGVsbG8=</uri></photo>"},
	{"picture elsewhere", "<PHOTO><EXTVAL>https://example.org/a.png</EXTVAL></PHOTO>", "<photo><uri>https://example.org/a.png</uri></photo>"},
	{"place", "<GEO><LAT>50.7</LAT><LON>7.1</LON></GEO>", "<geo><uri>geo:50.7,7.1</uri></geo>"},
	{"note", "<DESC>hi</DESC>", "<note><text>hi</text></note>"},
	{"keywords", "<CATEGORIES><KEYWORD>a</KEYWORD><KEYWORD>b</KEYWORD></CATEGORIES>", "<categories><text>a</text><text>b</text></categories>"},
}

func TestBothWays(t *testing.T) {
	for _, x := range pairs {
		temp := "<vCard xmlns='vcard-temp'>" + x.temp + "</vCard>"
		four := "<vcard xmlns='" + vcard.NS4 + "'>" + x.four + "</vcard>"
		el := element(t, temp)
		if got := string(vcard.To4(nil, &el)); got != four {
			t.Errorf("%s:\n got %s\nwant %s", x.name, got, four)
		}
		el = element(t, four)
		if got := string(vcard.ToTemp(nil, &el)); got != temp {
			t.Errorf("%s:\n got %s\nwant %s", x.name, got, temp)
		}
	}
}

func TestOneWay(t *testing.T) {
	const head = "<vCard xmlns='vcard-temp'>"
	for name, x := range map[string]struct{ four, temp string }{
		"a list":     {"<vcards xmlns='" + vcard.NS4 + "'><vcard><fn><text>a</text></fn></vcard><vcard/></vcards>", head + "<FN>a</FN></vCard>"},
		"a group":    {"<vcard xmlns='" + vcard.NS4 + "'><group name='g'><fn><text>a</text></fn></group></vcard>", head + "<FN>a</FN></vCard>"},
		"a tel URI":  {"<vcard xmlns='" + vcard.NS4 + "'><tel><uri>tel:+1</uri></tel></vcard>", head + "<TEL><NUMBER>+1</NUMBER></TEL></vCard>"},
		"not ours":   {"<vcard xmlns='" + vcard.NS4 + "'><gender><sex>F</sex></gender><x xmlns='urn:x'/><impp><uri>sip:a</uri></impp></vcard>", head + "</vCard>"},
		"empty ones": {"<vcard xmlns='" + vcard.NS4 + "'><fn/><email/><photo/><geo/></vcard>", head + "</vCard>"},
	} {
		el := element(t, x.four)
		if got := string(vcard.ToTemp(nil, &el)); got != x.temp {
			t.Errorf("%s: got %s, want %s", name, got, x.temp)
		}
	}
}

func TestPhotoHash(t *testing.T) {
	for name, x := range map[string]struct{ photo, want string }{
		"a picture":    {"<PHOTO><BINVAL>aGVs\n bG8=</BINVAL></PHOTO>", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"}, // of "hello"
		"none":         {"", ""},
		"elsewhere":    {"<PHOTO><EXTVAL>https://x</EXTVAL></PHOTO>", ""},
		"empty":        {"<PHOTO><BINVAL/></PHOTO>", ""},
		"not a base64": {"<PHOTO><BINVAL>***</BINVAL></PHOTO>", ""},
	} {
		el := element(t, "<vCard xmlns='vcard-temp'>"+x.photo+"</vCard>")
		if got := vcard.PhotoHash(&el); got != x.want {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
}

// Whatever a card holds, the other form of it is well-formed.
func FuzzTranslate(f *testing.F) {
	for _, x := range pairs {
		f.Add(x.temp, x.four)
	}
	f.Fuzz(func(t *testing.T, temp, four string) {
		temp, four = "<vCard xmlns='vcard-temp'>"+temp+"</vCard>", "<vcard xmlns='"+vcard.NS4+"'>"+four+"</vcard>"
		for _, text := range []string{temp, four} {
			if xml.Check([]byte(text), xml.Limits{}) != nil || strings.Count(text, "<vC") > 1 {
				continue
			}
			el, _ := xml.First([]byte(text), ns.Client)
			for _, out := range [][]byte{vcard.To4(nil, &el), vcard.ToTemp(nil, &el)} {
				if err := xml.Check(out, xml.Limits{}); err != nil {
					t.Fatalf("%s becomes %s: %v", text, out, err)
				}
			}
			vcard.PhotoHash(&el)
		}
	})
}
