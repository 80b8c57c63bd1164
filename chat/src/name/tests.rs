use proptest::prelude::*;
use protocol::Code;

use super::*;

fn name(typed: &str) -> Username {
    Username::parse(typed).unwrap_or_else(|fault| panic!("{typed}: {fault}"))
}

fn refusal(typed: &str) -> String {
    let fault = Username::parse(typed).err().unwrap_or_else(|| panic!("{typed:?} was taken"));
    assert_eq!(fault.error, Code::UnusableName, "{typed:?}");
    fault.reason
}

#[test]
fn case_width_composition_and_what_nobody_sees_make_no_difference() {
    for (one, other) in [
        ("Ada", "aDA"),
        ("Ａｄａ", "ada"),
        ("Zoë", "Zoe\u{308}"),
        ("Straße", "STRASSE"),
        ("ﬁona", "FIONA"),
        (" ada ", "ada"),
        ("می\u{200c}نا", "مینا"),
        ("ක\u{dca}\u{200d}ෂ", "ක\u{dca}ෂ"),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
        ("ᾳδα", "ΑΙΔΑ"),
    ] {
        assert_eq!(name(one).key(), name(other).key(), "{one} {other}");
        assert_eq!(Sought::of(one).unwrap().key, name(other).key(), "{one} {other}");
    }
    assert_ne!(name("ada.l").key(), name("ada-l").key());
}

#[test]
fn a_name_is_shown_as_its_owner_wrote_it() {
    for (typed, shown) in [
        ("น้ำฝน", "น้ำฝน"),
        ("ຄຳພອນ", "ຄຳພອນ"),
        ("Ａｄａ", "Ａｄａ"),
        ("Zoe\u{308}", "Zoë"),
        (" ﬁona ", "ﬁona"),
        ("می\u{200c}نا", "می\u{200c}نا"),
    ] {
        assert_eq!(name(typed).as_str(), shown);
    }
}

#[test]
fn names_of_any_one_script_are_taken_with_their_marks() {
    for typed in [
        "bob",
        "Ольга",
        "田中さん",
        "محمد",
        "김철수",
        "a.b_c-1",
        "Ελένη",
        "007",
        "7ena",
        "_x_",
        "น้ำฝน",
        "สมชาย",
        "प्रिया",
        "कृष्ण",
        "শ্রাবণ",
        "முருகன்",
        "కృష్ణ",
        "ကျော်",
        "သန့်ဇင်",
        "သုဇာတာ",
        "សុភា",
        "ស្រីមុំ",
        "ប៊ុនធឿន",
        "ຄຳພອນ",
        "සමන්",
        "ශ්‍රී",
        "محمّد",
        "שרה",
        "שָׁלוֹם",
        "Nguyễn",
        "አበበ",
        "ნინო",
        "Ṣọlá",
        "བསྒྲུབས",
        "ཧཱུྃམ",
        "རྒྱལ",
        "ཧྐྵྨླྺྼྻྂམ",
        "അന്‍മ",
        "লক্ষ",
        "ຂ້ອຍ",
        "Αἰνείᾳ",
        "Дмитрий",
        "ᠮᠣᠩᠭᠣᠯ",
        "ⵉⵔⴰⵏ",
        "ޢަލީ",
    ] {
        name(typed);
    }
}

#[test]
fn latin_stands_beside_the_scripts_of_east_asia_and_no_other() {
    for typed in ["Ken田中", "Aさん", "김Min", "李Lee", "ㄅㄆabc中"] {
        name(typed);
    }
    for typed in ["p\u{430}ypal", "тaня", "αbc", "김さ", "Ольгаさん", "ɑβγ", "abc\u{5d0}", "ㄅあ中"]
    {
        assert!(refusal(typed).contains("script"), "{typed}");
    }
}

#[test]
fn a_name_has_2_to_32_characters_as_people_count_them() {
    for typed in
        ["ab", "12", "किम", "李", "김", "あ", "ー", "々", &"x".repeat(32), &"e\u{323}\u{302}".repeat(32)]
    {
        name(typed);
    }
    for typed in ["", " ", "a", "1", "é", "कि", "ß", "ﬁ", "ב"] {
        refusal(typed);
    }
    for typed in ["x".repeat(33), "김".repeat(33), "क्षि".repeat(33), "𒀀".repeat(129), "x".repeat(100_000)]
    {
        assert!(refusal(&typed).contains("at most 32"), "{typed}");
    }
    assert!(refusal(&format!("a{}", "ः".repeat(128))).contains("128"), "as few clusters as it likes");
    name(&"ﬃ".repeat(32));
    name(&"क्षि".repeat(32));
    refusal(&"ﷺ".repeat(8));
}

#[test]
fn what_nobody_can_see_is_in_no_name() {
    for typed in [
        "\u{3164}\u{3164}\u{3164}",
        "\u{115f}\u{115f}\u{115f}",
        "\u{ffa0}\u{ffa0}\u{ffa0}",
        "김철수\u{3164}",
        "김\u{1160}철수",
        "김\u{115f}민준",
        "សុភា\u{17b4}",
        "Ada\u{3164}",
        "Ad\u{200b}a",
        "Ada\u{feff}\u{2060}\u{ad}",
        "Ada\u{34f}",
        "ᠮᠣᠩ\u{180b}",
        "Ada\u{fe0f}",
        "Ada\u{e0041}",
        "Ada\u{2800}",
        "\u{2800}\u{2800}",
        "abc\u{202e}",
        "\u{2066}abc",
        "ab\u{180e}c",
        "ab\u{61c}",
        "葛\u{e0100}城",
        "Ada\u{1d159}",
        "a\0bc",
        "ab\nc",
    ] {
        let reason = refusal(typed);
        assert!(reason.contains("U+"), "{typed:?}: {reason}");
    }
}

#[test]
fn joiners_stand_only_where_they_change_how_a_word_is_drawn() {
    for typed in [
        "می\u{200c}نا",
        "क\u{94d}\u{200d}षमा",
        "क\u{94d}\u{200c}षमा",
        "ක\u{dca}\u{200d}ෂ",
        "അനക\u{d4d}\u{200d}",
    ] {
        name(typed);
    }
    for typed in [
        "ab\u{200d}c",
        "ab\u{200c}c",
        "\u{200c}می",
        "می\u{200c}",
        "دا\u{200c}نا",
        "क\u{200d}षमा",
        "क\u{200c}षमा",
        "क\u{94d}\u{200d}\u{93f}मा",
        "م\u{200d}ی",
        "می\u{200c}\u{200c}نا",
        "-\u{94d}\u{200d}कम",
    ] {
        refusal(typed);
    }
}

#[test]
fn marks_are_few_and_belong_to_their_letter() {
    for typed in [
        "ad\u{363}\u{363}\u{363}\u{363}",
        "\u{5d0}\u{5d0}\u{5b8}\u{5b8}\u{5b8}\u{5b8}",
        "\u{645}\u{645}\u{64e}\u{64f}\u{650}\u{651}",
        "กก\u{e31}\u{e31}\u{e31}\u{e31}",
        "कक\u{902}\u{902}\u{902}\u{902}",
        "ကက\u{102d}\u{102f}\u{1037}\u{103e}\u{102d}",
        &format!("ཀཀ{}", "\u{f90}".repeat(8)),
        &format!("ཀཀ{}", "\u{f72}".repeat(4)),
        &format!("កក{}", "\u{17d2}ក".repeat(4)),
        "កក\u{17b7}\u{17b7}\u{17b7}\u{17b7}",
        "កក\u{17b7}\u{17b7}\u{17b7}\u{17d2}ក\u{17b7}\u{17b7}",
        "ka\u{200c}\u{64e}",
        "a\u{64e}b",
        "ab\u{5b8}",
        "а\u{64e}б",
        "1\u{94d}\u{915}",
        "a\u{1d165}b",
        "\u{301}ab",
        "\u{93f}कम",
    ] {
        refusal(typed);
    }
    for typed in [
        "ad\u{363}\u{363}\u{363}",
        "xa\u{323}\u{302}",
        "\u{5e9}\u{5c1}\u{5bc}\u{5b8}\u{5dc}",
        "ប៊្រុំក",
        "ក\u{17d2}ក\u{17d2}ក\u{17d2}កក",
    ] {
        name(typed);
    }
}

#[test]
fn names_that_break_a_rule_are_refused_with_a_sentence() {
    for (typed, said) in [
        ("two words", "a blank"),
        ("...", "at least one letter or digit"),
        ("a@b.c", "“@”"),
        ("🦀🦀🦀", "“🦀”"),
        ("ﷺﷺ", "“ﷺ”"),
        ("\u{301}ab", "begins with"),
        ("p\u{430}ypal", "script"),
        ("a", "2 to 32 characters"),
        ("½½", "“½”"),
    ] {
        let reason = refusal(typed);
        assert!(reason.contains(said) && reason.ends_with('.'), "{typed}: {reason}");
    }
}

#[test]
fn names_that_look_alike_have_the_same_skeleton() {
    for (one, other) in [
        ("coco", "сосо"),
        ("paypal", "paypaI"),
        ("paypal2", "paypa12"),
        ("modern", "rnodern"),
        ("scope", "ѕсоре"),
        ("o0o0", "O0OO"),
        ("ivan1", "ivanl"),
        ("bill", "biII"),
        ("vvolf", "wolf"),
        ("VVolf", "wolf"),
        ("vvv", "wv"),
        ("aℓℓ", "all"),
        ("ıstan2", "istan2"),
        ("0l1I", "OlII"),
        ("аре", "ape"),
        ("ádám", "a\u{301}da\u{301}m"),
    ] {
        assert_eq!(name(one).skeleton(), name(other).skeleton(), "{one} {other}");
    }
    for (one, other) in [("Ada", "Ida"), ("bob", "rob"), ("김민준", "김민중"), ("anna", "hanna")] {
        assert_ne!(name(one).skeleton(), name(other).skeleton(), "{one} {other}");
    }
}

#[test]
fn nobody_speaks_for_the_server() {
    for typed in [
        "admin",
        "Admin",
        "ADMIN",
        "ADMlN",
        "adrnin",
        "аdmin",
        "system",
        "SYSTEM",
        "sуstem",
        "Natter",
        "support",
        "root",
        "r00t",
        "rооt",
        "moderator",
        "security",
        "administrator",
        "You",
    ] {
        refusal(typed);
    }
    for typed in ["administrata", "Ruth", "nattered", "Owner", "young"] {
        name(typed);
    }
}

#[test]
fn any_text_can_be_looked_for_up_to_512_bytes() {
    assert!(Sought::of(&"x".repeat(512)).is_some());
    assert!(Sought::of(&"x".repeat(513)).is_none());
    assert_eq!(Sought::of("Ad\u{200b}a"), Some(Sought { earlier: "ad\u{200b}a".into(), key: "ada".into() }));
}

/// What the page uses to decide that there is nothing to see, checked against Unicode's tables.
#[test]
fn what_shows_nothing_is_what_unicode_ignores_and_a_few_more() {
    for c in '\0'..=char::MAX {
        if letters::is_ignorable(c) || c.is_whitespace() || c.is_control() {
            assert!(protocol::text::is_unseen(c), "U+{:04X}", u32::from(c));
        }
    }
    let more: Vec<u32> = ('\0'..=char::MAX)
        .filter(|c| protocol::text::is_unseen(*c))
        .filter(|c| !(letters::is_ignorable(*c) || c.is_whitespace() || c.is_control()))
        .map(u32::from)
        .filter(|c| !(0xfdd0..=0xfdef).contains(c) && !(0xfffe..=0xffff).contains(c))
        .collect();
    assert_eq!(more, [0x2800, 0xfff9, 0xfffa, 0xfffb, 0x13441, 0x13442, 0x16fe4, 0x1d159]);
}

proptest! {
    #[test]
    fn a_key_is_its_own_key(
        text in "\\PC{0,20}|[\u{300}-\u{3ff}\u{1f00}-\u{1fff}\u{200b}-\u{200f}a-cA-C]{0,20}",
    ) {
        let once = key(&text);
        prop_assert_eq!(&key(&once), &once);
    }

    #[test]
    fn a_name_that_is_taken_is_found_and_is_the_same_when_it_is_typed_as_shown(text in "[\u{41}-\u{7a}\u{c0}-\u{24f}\u{300}-\u{340}]{2,12}|[\u{900}-\u{97f}\u{200c}\u{200d}]{2,12}|[\u{1100}-\u{11ff}\u{ac00}-\u{ad00}]{1,9}|[\u{e00}-\u{eff}]{2,9}") {
        if let Ok(name) = Username::parse(&text) {
            let again = Username::parse(name.as_str()).unwrap();
            prop_assert_eq!(again.as_str(), name.as_str());
            prop_assert_eq!((again.key(), again.skeleton()), (name.key(), name.skeleton()));
            prop_assert_eq!(&Sought::of(&text).unwrap().key, name.key());
            prop_assert!(!name.key().is_empty() && !name.skeleton().is_empty());
        }
    }
}
