use super::*;
use crate::understand::words::words;

#[test]
fn hears_introductions() {
    for (text, name) in [
        ("Hi, this is Maria Gomez.", Some("Maria Gomez")),
        ("Hello, my name is Maria Gomez and my kettle never arrived.", Some("Maria Gomez")),
        ("My name's John O'Brien.", Some("John O'Brien")),
        ("It's John.", Some("John")),
        ("I'm John Smith, I'm calling about my order.", Some("John Smith")),
        ("Yeah hi, Maria Gomez here.", Some("Maria Gomez")),
        ("Maria Gomez speaking.", Some("Maria Gomez")),
        ("hi this is maria gomez", Some("maria gomez")),
        ("I'm calling about an order.", None),
        ("I'm the account holder.", None),
        ("This is ridiculous.", None),
        ("It's A-1042.", None),
        ("It's broken.", None),
        ("I'm very upset.", None),
        ("I'm Italian and my order is late.", Some("Italian")),
        ("This is about my bill.", None),
        ("I am John.", Some("John")),
        ("His name is Robert Hill. My name is Susan Hill.", Some("Susan Hill")),
        ("My mother's name is Ellen Park.", None),
    ] {
        let heard = introduced(&words(text));
        assert_eq!(heard.map(|n| n.to_lowercase()), name.map(str::to_lowercase), "{text}");
    }
}

#[test]
fn hears_answers() {
    for (text, name) in [
        ("Maria Gomez.", Some("Maria Gomez")),
        ("Yes, Maria Gomez.", Some("Maria Gomez")),
        ("maria gomez", Some("Maria Gomez")),
        ("Sure, it's Maria Gomez.", Some("Maria Gomez")),
        ("No, this is David Gomez.", Some("David Gomez")),
        ("G-O-M-E-Z.", Some("Gomez")),
        ("Why do you need that?", None),
        ("I don't know.", None),
    ] {
        assert_eq!(answered(&words(text)).as_deref(), name, "{text}");
    }
}

#[test]
fn hears_third_parties() {
    let third = |relation: Option<&str>, holder: Option<&str>| {
        Some(ThirdParty { relation: relation.map(str::to_owned), holder: holder.map(str::to_owned) })
    };
    for (text, expected) in [
        ("I'm calling for my mother Ellen Park.", third(Some("mother"), Some("Ellen Park"))),
        ("I'm calling for my mother, Ellen Park.", third(Some("mother"), Some("Ellen Park"))),
        ("I'm calling on behalf of my husband.", third(Some("husband"), None)),
        ("I'm calling on behalf of Ellen Park.", third(None, Some("Ellen Park"))),
        ("It's about my mom's order.", third(Some("mother"), None)),
        ("The account is in my wife's name.", third(Some("wife"), None)),
        ("The account belongs to my father.", third(Some("father"), None)),
        ("I'm calling about my sister's order.", third(Some("sister"), None)),
        ("No, this is her son.", third(Some("parent"), None)),
        ("I'm his daughter.", third(Some("parent"), None)),
        ("I'm calling for my order.", None),
        ("I'm calling for a refund.", None),
        ("I bought it for my mother.", None),
        ("My wife's birthday present arrived broken.", None),
    ] {
        assert_eq!(third_party(&words(text)), expected, "{text}");
    }
}

#[test]
fn tells_names_apart() {
    for (heard, known) in [
        ("Maria Gomez", "Maria Gomez"),
        ("Mariah Gomes", "Maria Gomez"),
        ("maria comez", "Maria Gomez"),
        ("Jon Smith", "John Smith"),
        ("Steven Fillips", "Stephen Phillips"),
        ("Maria", "Maria Gomez"),
        ("Gomez", "Maria Gomez"),
        ("Katherine Lee", "Catherine Lee"),
        ("Sean O'Brien", "Sean O'Brien"),
        ("Maria Elena Gomez", "Maria Gomez"),
        ("Dave Chen", "David Chen"),
        ("Jen Brooks", "Jennifer Brooks"),
    ] {
        assert!(same(heard, known), "{heard} / {known}");
    }
    for (heard, known) in [
        ("John Park", "Ellen Park"),
        ("Maria Lopez", "Maria Gomez"),
        ("David Gomez", "Maria Gomez"),
        ("Bob", "Maria Gomez"),
        ("", "Maria Gomez"),
        ("Tom Reed", "Maria Gomez"),
    ] {
        assert!(!same(heard, known), "{heard} / {known}");
    }
}
