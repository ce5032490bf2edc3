// Package form implements data forms (XEP-0004): what a program asks of a
// person, what the person answers, and what comes of it.
//
//	f := form.Form{Type: form.Ask, Title: "A new account", FormType: "http://jabber.org/protocol/admin", Fields: []form.Field{
//		{Var: "accountjid", Type: form.JIDSingle, Label: "Its address", Required: true},
//		{Var: "password", Type: form.TextPrivate, Label: "Its password", Required: true},
//	}}
//	body := f.Append(nil)
//
//	answer, err := form.Parse(&el)     // of type submit
//	err = f.Check(answer)              // all that is required is there, and is what it should be
//	address := answer.Value("accountjid")
//
// A Form is a value without I/O; it is safe to read from many goroutines.
package form

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A Type says what a form is.
type Type string

// The types of forms (XEP-0004 section 3.1).
const (
	Ask    Type = "form"   // to be filled in
	Submit Type = "submit" // filled in
	Cancel Type = "cancel" // not to be filled in
	Result Type = "result" // what came of it
)

// A FieldType says what a field holds.
type FieldType string

// The types of fields (XEP-0004 section 3.3).
const (
	Boolean     FieldType = "boolean"
	Fixed       FieldType = "fixed" // text to be shown
	Hidden      FieldType = "hidden"
	JIDMulti    FieldType = "jid-multi"
	JIDSingle   FieldType = "jid-single"
	ListMulti   FieldType = "list-multi"
	ListSingle  FieldType = "list-single"
	TextMulti   FieldType = "text-multi" // lines
	TextPrivate FieldType = "text-private"
	TextSingle  FieldType = "text-single" // the default
)

// A Form is a form of any type.
type Form struct {
	Type         Type
	Title        string
	Instructions string
	FormType     string // whose fields they are (XEP-0068), the hidden field FORM_TYPE; may be empty
	Fields       []Field

	// Reported and Items are a table: its columns, and for each row the fields.
	Reported []Field
	Items    [][]Field

	// Payload is an element of another namespace behind the fields, as some protocols
	// have it; nil is none. Parse does not read it.
	Payload []byte
}

// A Field is one field of a form.
type Field struct {
	Var      string
	Type     FieldType // "" is not said: text-single
	Label    string    // for people
	Desc     string    // for people, longer
	Required bool
	Values   []string
	Options  []Option // of the lists
}

// An Option is what may be chosen in a list.
type Option struct {
	Label string // for people; "" is the value
	Value string
}

// Limits of what Parse reads.
const (
	maxFields = 1000
	maxValues = 10000
)

// Errors of Parse.
var (
	errForm = errors.New("it is no data form")
	errLong = errors.New("the form is too long")
)

// Append writes the form as an element that is whole by itself.
func (f *Form) Append(dst []byte) []byte {
	dst = xml.AppendStart(dst, "x", ns.DataForm, "type", string(f.Type))
	if f.Title != "" {
		dst = xml.AppendElement(dst, "title", "", f.Title)
	}
	if f.Instructions != "" {
		dst = xml.AppendElement(dst, "instructions", "", f.Instructions)
	}
	if f.FormType != "" {
		of := Field{Var: "FORM_TYPE", Type: Hidden, Values: []string{f.FormType}}
		dst = of.append(dst)
	}
	if len(f.Reported) > 0 {
		dst = appendFields(dst, "reported", f.Reported)
	}
	for _, item := range f.Items {
		dst = appendFields(dst, "item", item)
	}
	for i := range f.Fields {
		dst = f.Fields[i].append(dst)
	}
	return xml.AppendEnd(append(dst, f.Payload...), "x")
}

func appendFields(dst []byte, name string, fields []Field) []byte {
	dst = xml.AppendStart(dst, name, "")
	for i := range fields {
		dst = fields[i].append(dst)
	}
	return xml.AppendEnd(dst, name)
}

func (f *Field) append(dst []byte) []byte {
	dst = xml.AppendStart(dst, "field", "", "var", f.Var, "type", string(f.Type), "label", f.Label)
	if f.Desc != "" {
		dst = xml.AppendElement(dst, "desc", "", f.Desc)
	}
	if f.Required {
		dst = xml.AppendEmpty(dst, "required", "")
	}
	for _, v := range f.Values {
		dst = xml.AppendElement(dst, "value", "", v)
	}
	for _, o := range f.Options {
		dst = xml.AppendStart(dst, "option", "", "label", o.Label)
		dst = xml.AppendElement(dst, "value", "", o.Value)
		dst = xml.AppendEnd(dst, "option")
	}
	return xml.AppendEnd(dst, "field")
}

// Parse reads a form. The error is nil or says that el is none.
func Parse(el *xml.Element) (*Form, error) {
	if !el.Is("x", ns.DataForm) {
		return nil, errForm
	}
	f := &Form{Type: Type(el.Attr("type"))}
	switch f.Type {
	case Ask, Submit, Cancel, Result:
	default:
		return nil, fmt.Errorf("there is no type of form %q", el.Attr("type"))
	}
	left := maxFields
	for child := range el.Elements() {
		if child.NS() != ns.DataForm {
			continue
		}
		switch child.Name() {
		case "title":
			f.Title = child.Text()
		case "instructions":
			f.Instructions = strings.TrimPrefix(f.Instructions+"\n"+child.Text(), "\n")
		case "field":
			field := parseField(&child)
			if field.Var == "FORM_TYPE" && f.FormType == "" && len(field.Values) > 0 {
				f.FormType = field.Values[0]
				continue
			}
			f.Fields = append(f.Fields, field)
			left--
		case "reported":
			f.Reported = parseFields(&child, &left)
		case "item":
			f.Items = append(f.Items, parseFields(&child, &left))
			left--
		}
		if left < 0 {
			return nil, errLong
		}
	}
	return f, nil
}

// Find reads the form among the children of an element, nil if there is none.
func Find(parent *xml.Element) (*Form, error) {
	el, ok := parent.Find("x", ns.DataForm)
	if !ok {
		return nil, nil
	}
	return Parse(&el)
}

func parseFields(el *xml.Element, left *int) []Field {
	var fields []Field
	for child := range el.Elements() {
		if child.Is("field", ns.DataForm) && *left >= 0 {
			fields = append(fields, parseField(&child))
			*left--
		}
	}
	return fields
}

func parseField(el *xml.Element) Field {
	f := Field{Var: el.Attr("var"), Type: FieldType(el.Attr("type")), Label: el.Attr("label")}
	for child := range el.Elements() {
		if child.NS() != ns.DataForm || len(f.Values)+len(f.Options) > maxValues {
			continue
		}
		switch child.Name() {
		case "desc":
			f.Desc = child.Text()
		case "required":
			f.Required = true
		case "value":
			f.Values = append(f.Values, child.Text())
		case "option":
			o := Option{Label: child.Attr("label")}
			if v, ok := child.Find("value", ns.DataForm); ok {
				o.Value = v.Text()
			}
			f.Options = append(f.Options, o)
		}
	}
	return f
}

// Field returns a field by its name, nil if there is none.
func (f *Form) Field(name string) *Field {
	for i := range f.Fields {
		if f.Fields[i].Var == name {
			return &f.Fields[i]
		}
	}
	return nil
}

// Values returns the values of a field.
func (f *Form) Values(name string) []string {
	if field := f.Field(name); field != nil {
		return field.Values
	}
	return nil
}

// Value returns the first value of a field, "" if there is none.
func (f *Form) Value(name string) string {
	if values := f.Values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Text returns the values of a field as lines.
func (f *Form) Text(name string) string { return strings.Join(f.Values(name), "\n") }

// Bool returns the value of a boolean field.
func (f *Form) Bool(name string) bool {
	v := f.Value(name)
	return v == "true" || v == "1"
}

// Check says what is wrong with an answer to f: what is required and missing,
// an address that is none, a choice that f does not give. Addresses in the
// answer are prepared (RFC 7622). Fields that f does not have are let be.
func (f *Form) Check(answer *Form) error {
	if f.FormType != "" && answer.FormType != "" && answer.FormType != f.FormType {
		return fmt.Errorf("the form is %s, not %s", answer.FormType, f.FormType)
	}
	for i := range f.Fields {
		asked := &f.Fields[i]
		if asked.Type == Fixed {
			continue
		}
		got := answer.Field(asked.Var)
		if got == nil || len(got.Values) == 0 || len(got.Values) == 1 && got.Values[0] == "" {
			if asked.Required {
				return fmt.Errorf("%s is missing", asked.Var)
			}
			if got != nil {
				got.Values = nil
			}
			continue
		}
		if err := asked.check(got.Values); err != nil {
			return fmt.Errorf("%s %w", asked.Var, err)
		}
	}
	return nil
}

// check checks values, and prepares them if they are addresses.
func (f *Field) check(values []string) error {
	switch f.Type {
	case JIDMulti, ListMulti, TextMulti, Hidden:
	default:
		if len(values) > 1 {
			return errors.New("has one value")
		}
	}
	for i, v := range values {
		switch f.Type {
		case Boolean:
			if !slices.Contains([]string{"0", "1", "true", "false"}, v) {
				return fmt.Errorf("is %.40q, not true or false", v)
			}
		case JIDMulti, JIDSingle:
			address, err := jid.Parse(strings.TrimSpace(v))
			if err != nil {
				return fmt.Errorf("has %.80q, which is no address", v)
			}
			values[i] = address.String()
		case ListMulti, ListSingle:
			if !slices.ContainsFunc(f.Options, func(o Option) bool { return o.Value == v }) {
				return fmt.Errorf("has %.40q, which cannot be chosen", v)
			}
		}
	}
	return nil
}
