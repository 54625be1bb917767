"""Words that prompts of images are refused for, by what they are about, and what is let through although it holds one.

In the form of `configs.schema.PromptsConfig`. Fashion uses many of these words: nude is a colour, heels are killer, stars are
shooting, a blouse has a pussy bow. So a word stands here alone only where no product is called by it, and with others
elsewhere.
"""

from collections.abc import Mapping

from configs.schema import Screen

_ONE = (
    r"(?:woman|man|girl|boy|lady|guy|female|male|person|human|couple|wife|mother|mom|actress|celebrity|model|teen|teenager"
    r"|child|kid)"
)
_SEVERAL = r"(?:women|men|girls|boys|ladies|guys|females|males|people|persons|humans|couples|models|celebrities|teens|teenagers)"
_MINOR = (
    r"(?:child|children|kids?|toddlers?|infants?|pre ?teens?|tweens?|teens?|teenagers?|school ?girls?|school ?boys?|under ?aged?"
    r"|(?:little|young|teen|teenage|small) (?:girls?|boys?)|(?:1[0-7]|[1-9]) (?:years?|yrs?) old|(?:1[0-7]|[1-9])yo)"
)
_BARE = r"(?:naked|topless|bottomless|undressed|undressing|unclothed)"
_SEXUAL = rf"(?:{_BARE}|sexy|erotic\w*|sexual\w*|seductive\w*|provocative\w*|lingerie|porn\w*|sex)"
_ACTING = (
    r"(?:in|on|at|with|and|posing|lying|laying|standing|sitting|kneeling|dancing|bathing|showering|swimming|having|showing|who"
    r"|without|playing|photos?|pictures?|together|kissing|outdoors)"
)
_BODY = (
    r"(?:body|bodies|breasts?|torso|butt|buttocks|photos?|pics?|pictures?|selfies?|scenes?|pose|posing|photoshoot|photography)"
)
_GOODS = r"(?! (?:\w+ )?(?:shoes|heels|sandals|flats|pumps|colou?r|shade))"
"""After nude, which is then a colour."""
_WHOM = (
    r"(?:(?:a|an|the|his|her|my|your|some|all|little|young|other|innocent) )*"
    r"(?:m[ae]n|wom[ae]n|child|children|kids?|people|persons?|someone|somebody|girls?|boys?|him|her|them|cats?|dogs?|animals?)"
)
_PEOPLES = r"(?:jews?|muslims?|christians?|hindus?|sikhs?|blacks?|whites?|gays?|immigrants?|refugees?|arabs?|asians?|women)"


def _listed(entries: str) -> tuple[str, ...]:
    return tuple(" ".join(entry.split()) for entry in entries.split(","))


BLOCKED: Mapping[Screen, tuple[str, ...]] = {
    "sexual": (
        *_listed(
            """porn*, pron, hentai, nsfw, x rated, rule34, ahegao, futanari, bukkake, onlyfans, camgirl*, blow job*, hand job*,
            cumshot*, gangbang*, deepthroat*, masturbat*, orgasm*, orgy, orgies, ejaculat*, semen, penis*, vagina*, vulva*,
            clitoris, genital*, dildo*, boobs, boobies, tits, titties, pussy, fuck*, cunt*, whore*, slut*, horny, milf*,
            upskirt*, downblouse, erotic, erotica, bdsm, striptease*, lap dance*, prostitut*, incest*, bestiality, zoophil*,
            necrophil*, anal sex, oral sex, group sex, having sex, hardcore sex, making love, sexual intercourse, sexually
            explicit, nudity, nudist*, full frontal, without clothes, without any clothes, without her clothes, no clothes,
            wearing nothing, clothes off, no underwear, no panties, wearing no bra"""
        ),
        r"/\bsex (?:acts?|scenes?|toys?|dolls?|tapes?|slaves?|workers?|positions?|orgy)\b/",
        r"/\bsexual (?:acts?|poses?|positions?|content|organs?|intercourse)\b/",
        r"/^sex$/",
        r"/\b(?:send|leaked|her|his|celebrity|selfie) nudes\b/",
        rf"/\bnude {_ONE}\b(?! s\b){_GOODS}/",
        rf"/\bnude {_SEVERAL}(?:$| {_ACTING}\b)/",
        rf"/\bnude (?:young |beautiful |hot |sexy |asian |indian |white |black )+(?:{_ONE}|{_SEVERAL})\b/",
        rf"/\b{_ONE} nude$/",
        rf"/\b(?:fully|completely|totally|entirely|posing|poses|posed|lying|standing|sitting|dancing|in the) nude\b{_GOODS}/",
        rf"/\bnude (?:\w+ )?{_BODY}\b/",
        rf"/\b{_BARE} (?:\w+ ){{0,2}}(?:{_ONE}|{_SEVERAL})\b/",
        rf"/\b(?:{_ONE}|{_SEVERAL}) (?:\w+ ){{0,3}}{_BARE}\b/",
        rf"/\b{_BARE} {_BODY}\b/",
        rf"/\b(?:fully|completely|totally|half|stark|butt|get|getting|being|posing|lying|standing) {_BARE}\b/",
        r"/^(?:an? |the )?(?:naked|topless)(?: (?:and|in|on|at) .*)?$/",
        r"/\b(?:bare|exposed|visible|showing|hard|erect) (?:her |his |the )?(?:nipples?|breasts?|genitals?|crotch)\b/",
    ),
    "minors": (
        *_listed("kiddie porn*, csam, lolicon*, loli, lolis, shotacon*, shota, jailbait*, pedo, pedos, pedophil*, paedophil*"),
        rf"/\b{_MINOR} (?:\w+ ){{0,3}}{_SEXUAL}\b/",
        rf"/\b{_SEXUAL} (?:\w+ ){{0,3}}{_MINOR}\b/",
        r"/\bnude (?:\w+ )?(?:child|children|toddler|infant|pre ?teen|teen|teenager|schoolgirl|schoolboy)\b/",
        r"/\bnude (?:little|young) (?:girl|boy)\b/",
        r"/\b(?:child|children|toddler|infant|preteen|teenager|schoolgirl|schoolboy) nude$/",
    ),
    "violence": (
        *_listed(
            """gore, gory, guro, snuff film*, behead*, decapitat*, dismember*, disembowel*, mutilat*, tortur*, rape, raped,
            rapes, raping, rapist*, gang rape*, molest*, massacre*, genocid*, slaughter*, bloodbath, corpse*, cadaver*,
            entrails, impaled, lynched, lynching*, terrorist*, pipe bomb*, covered in blood, drenched in blood, pool of
            blood, blood soaked, murder, murdered, murdering, stabbed, stabbing*, stabs, shot dead, shot in the head, mass
            shooting*, school shooting*, shooting people, suicide, suicide bomb*, suicidal, self harm*, self mutilat*,
            execution style"""
        ),
        r"/\bbloody (?:corpses?|bod(?:y|ies)|murder|wounds?|kni(?:fe|ves)|faces?|hands?|mess|scene)\b/",
        r"/\bsevered (?:heads?|limbs?|arms?|hands?|legs?|fingers?|body)\b/",
        r"/\b(?:slit|slits|slitting|cut|cutting) (?:his |her |their |my |own |the )*(?:throats?|wrists?)\b/",
        r"/\b(?:hang|hanging|hanged|cutting|hurting|killing) (?:himself|herself|themselves|myself)\b/",
        r"/\bdead (?:bod(?:y|ies)|child|children|baby|wom[ae]n|m[ae]n|girls?|boys?|person|people)\b/",
        rf"/\bkill(?:s|ed|ing) {_WHOM}\b/",
        rf"/\bkill (?:(?:an?|the|his|her|my|your|some|all|little|young|innocent) {_WHOM}|people|children|someone|him|them)\b/",
        rf"/\b(?:beating|strangling|stabbing|shooting|choking|burning alive) {_WHOM}\b/",
    ),
    "hate": (
        *_listed(
            """nazi*, neonazi*, hitler*, sieg heil, third reich, kkk, ku klux klan, white power, white supremac*, aryan race,
            aryan nation, aryan brotherhood, ethnic cleansing, race war, blackface, racist caricature*, holocaust denial,
            holocaust joke*, nigger*, nigga*, faggot*, kike*, tranny, trannies, wetback*, raghead*, towelhead*, gook, gooks,
            1488"""
        ),
        rf"/\b(?:kill|death to|exterminate|hang|gas|burn|hate) (?:all )?(?:the )?{_PEOPLES}\b/",
        r"/\bisis (?:flags?|fighters?|soldiers?|propaganda)\b/",
    ),
    "real_person": (
        *_listed("deep fake*, face swap*, celebrity face, celebrity look alike*, celebrity likeness"),
        r"/\b(?:in the likeness of|look ?alike of|with the face of)\b/",
        r"/\breal (?:celebrit(?:y|ies)|actress(?:es)?|actors?|politicians?|singers?|footballers?|persons?)\b/",
        r"/\b(?:photos?|pictures?|portraits?|images?) of (?:the )?(?:president|prime minister|pope)\b/",
    ),
}
"""Persons and brands are not known by name: a shop draws the brands that it sells, and adds names to `blocked`."""

ALLOWED = _listed(
    """gore tex*, gore seam*, pussy bow*, pussy willow*, pussy cat*, great tits, blue tits, coal tits, sex pistols, sex and the
    city, sex education, boy short*, boy leg*, baby doll*, teenage mutant ninja turtle*, suicide squad, corpse bride,
    cannibal corpse, murder mystery, murder she wrote, murder on the orient express, a murder of crows, tortured poets
    department"""
)
