"""Words that carry no fact, and words without which a sentence says something else, in six languages."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


NEGATIONS = _set(
    """not never no none nor neither without nobody nothing nowhere hardly
    nicht kein keine keinen keiner keinem keines nie niemals nirgends niemand nichts ohne weder
    ne n pas jamais aucun aucune sans ni rien personne guère nulle
    nunca jamás ningún ninguno ninguna sin nadie nada tampoco
    不 没 沒 未 无 無 非 别 別 勿 否 ない ません なかっ なし ずに ざる"""
)
"""A sentence that loses one says the opposite. ``n`` is the French n'; the English n't is spelled out as "not"."""

LIMITS = _set(
    """only unless except until least most maximum minimum if fewer less more longer exactly almost
    nur außer ausser höchstens mindestens sofern falls wenn maximal weniger mehr fast bis
    seulement uniquement sauf excepté moins plus maximum minimum si jusqu presque
    solo sólo solamente únicamente salvo excepto menos más máximo mínimo si hasta casi
    仅 僅 只 除 のみ だけ しか 以外 以上 以下 未満 未满 至少 至多 最多 最少 超过 超過"""
)
"""Quantifiers and conditions: without one a sentence says more than it did."""

FUNCTION = _set(
    """a an the of to in on at by for from with as and or but so that this these those there here it its he she they
    them his her their our your my we you i me us him who whom which what where when how than then too also just very
    is are was were be been being am do does did done has have had having will would can could shall should may might
    must such into onto over under about between through during before after above below up down out off again further
    while because both each any all some other own same s t d ll re ve m o
    der die das den dem des ein eine einen einem einer eines und oder aber auch so daß dass im am um zu zur zum von
    vom mit bei beim auf aus an für durch gegen über unter vor nach seit als wie er sie es wir ihr ich du man sich ist
    sind war waren sein hat haben hatte hatten wird werden wurde wurden worden kann können muss müssen soll sollte noch
    schon denn dann da hier dort diese dieser dieses diesem diesen jene welche welcher welches
    le la les l un une du des de d et ou mais donc car que qu qui quoi dont où ce cet cette ces c il elle ils elles on
    nous vous je j tu me se son sa ses leur leurs mon ma mes notre votre au aux en dans par pour sur avec chez vers
    est sont était étaient être été a ont avait avaient avoir y comme aussi très lui
    el los las lo una unos unas del al y e o u pero que quien cual cuyo donde cuando como esto esta este estos estas
    ese esa eso su sus mi mis tu tus nuestro nos se le les me te es son era eran fue fueron ser sido está están ha han
    había haber por para con entre desde sobre también muy ya
    的 了 是 在 和 与 與 及 或 也 都 就 而 被 把 给 給 等 之 其 所 以 于 於 则 則 着 過 过 个 個 这 這 那 有"""
) - (NEGATIONS | LIMITS)
"""May go without a change of what is said."""

GERMAN = _set("der die das und ist nicht den dem ein eine einen mit von zu auf für im sich auch wird als")
OTHERS = _set("the of and to in is le la les el los un que et y a en del du des est por for on")
"""Where the first are more than the second, a text is German, whose nouns all have a capital."""

OPPOSITES = (
    ("increase", "decrease"), ("rise", "fall"), ("rose", "fell"), ("up", "down"), ("before", "after"),
    ("above", "below"), ("over", "under"), ("always", "never"), ("all", "some"), ("must", "may"), ("can", "must"),
    ("und", "oder"), ("vor", "nach"), ("über", "unter"), ("and", "or"), ("et", "ou"), ("y", "o"), ("avant", "après"),
)  # fmt: skip
CHANGING = frozenset(word for pair in OPPOSITES for word in pair)
"""Function words that may go, but not be exchanged for another of these."""

_SYNONYMS = (
    "large big", "small little", "begin start", "began started", "end finish", "buy purchase", "bought purchased",
    "show display", "help assist", "quick fast rapid", "city town", "film movie", "near close", "often frequently",
    "use utilize employ", "about approximately roughly", "usually normally generally", "however nevertheless",
    "build construct", "built constructed", "make create", "made created", "get obtain receive", "say state",
    "said stated", "main primary principal", "many numerous", "several various", "located situated",
    "also additionally",
    "groß gross riesig", "beginnen anfangen", "ungefähr etwa circa", "grand gros", "environ approximativement",
    "grande gran", "aproximadamente unos",
)  # fmt: skip
SYNONYMS = {word: i for i, group in enumerate(_SYNONYMS) for word in group.split()}
"""Group number of words that say the same; a few, so that a plain rewording is not taken for a changed fact."""

CONTRACTIONS = {"cannot": ("can", "not"), "can't": ("can", "not"), "won't": ("will", "not"), "shan't": ("shall", "not")}

NUMBER_WORDS = {
    word: str(value)
    for words in (
        "zero one two three four five six seven eight nine ten eleven twelve",
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
        "zéro un deux trois quatre cinq six sept huit neuf dix onze douze",
        "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
        "〇 一 二 三 四 五 六 七 八 九 十",
    )
    for value, word in enumerate(words.split())
}
"""Small numbers that may be written as digits."""

COUNTED = {
    word: value
    for word, value in NUMBER_WORDS.items()
    if value not in ("0", "1") and word not in ("once", "neuf", "elf") and word < "\u3000"
}
"""Those of them that are as good as numbers: without the CJK ones, articles, and words of another language."""

_SAME_SENSE = (
    "pay paid payment payable", "sell sold sale", "buy bought purchase purchased", "begin began begun start commence",
    "end finish stop conclude cease", "hold held", "send sent ship shipped dispatch", "give gave given hand grant",
    "take took taken", "get got obtain receive", "make made create produce", "write wrote written", "say said state",
    "tell told inform", "find found discover", "keep kept retain", "lose lost", "win won", "meet met meeting",
    "leave left depart", "know knew known", "rise rose risen", "fall fell fallen", "grow grew grown", "speak spoke",
    "build built construct", "lead led head", "run ran operate", "cost price priced", "need require necessary",
    "must shall obligatory mandatory", "own belong", "live reside", "work job employ", "help assist support",
    "show display", "large big great", "small little", "fast quick rapid", "city town", "film movie", "near close",
    "often frequently", "total sum altogether overall", "allow permit", "forbid prohibit ban", "approx about roughly",
    "child children", "person people", "man men", "woman women", "foot feet", "open opened", "move relocate",
    "lift raise", "last final", "each per", "year annual yearly", "month monthly", "day daily", "week weekly",
    "hour hourly", "use used uses using usage",
    "invoice invoiced bill billed", "firm company business", "boss chief", "staff personnel employees",
    "begann beginnen beginnt", "fährt fahren fuhr", "kostet kosten preis", "zahlen zahlt bezahlt", "geht gehen ging",
    "payé paye payer paiement", "coûte coûter prix", "cuesta costar precio", "pagar pagó pago paga",
)  # fmt: skip
SENSES = {word: i for i, group in enumerate(_SAME_SENSE) for word in group.split()}
"""Group number of words that may tell the same fact; a rewording may take any of a group for another. Broader than
`SYNONYMS`: what is compared by it are the words beside a value, not the words themselves."""

CONTRARIES = tuple(
    (frozenset(a.split()), frozenset(b.split()))
    for a, b in (
        ("increase increased increases increasing", "decrease decreased decreases decreasing reduce reduced reduces"),
        ("rise rose rises rising risen grow grew grown", "fall fell falls falling fallen drop dropped drops shrink"),
        ("before", "after"), ("above over exceeds", "below under"), ("more", "less fewer"),
        ("first initial initially", "last final finally"), ("largest biggest", "smallest"), ("highest", "lowest"),
        ("higher", "lower"), ("earlier", "later"), ("early", "late"), ("older oldest", "younger youngest"),
        ("north northern", "south southern"), ("east eastern", "west western"), ("left", "right"),
        ("won win wins", "lost lose loses"), ("male", "female"),
        ("allowed permitted allows permits", "forbidden prohibited banned forbids prohibits"),
        ("accepted accepts approved approves", "rejected rejects refused refuses denied denies"),
        ("maximum most", "minimum least"), ("open opened opens", "closed closes shut"), ("black", "white"),
        ("red", "blue"), ("hot", "cold"), ("always", "never"), ("all every", "some none"), ("with", "without"),
        ("import imported imports", "export exported exports"), ("buy bought buys", "sell sold sells"),
        ("profit", "loss"), ("enabled enable enables", "disabled disable disables"), ("present", "absent"),
        ("passed passes", "failed fails"), ("safe", "dangerous unsafe"), ("inside", "outside"), ("enter", "exit"),
        ("better", "worse"), ("best", "worst"), ("high elevated", "low"), ("upper", "lower"),
        ("long lengthy", "short brief"), ("longer", "shorter"), ("longest", "shortest"), ("major", "minor"),
        ("old aged", "new fresh"), ("old", "young"), ("old ancient antique", "modern contemporary recent"),
        ("many", "few"), ("strong", "weak"), ("stronger", "weaker"), ("rich", "poor"), ("easy", "difficult hard"),
        ("hard", "soft"), ("heavy", "light"), ("deep", "shallow"), ("wide broad", "narrow"),
        ("large larger big bigger", "small smaller"), ("thick", "thin"), ("full", "empty"), ("true", "false"),
        ("right correct", "wrong incorrect"), ("good", "bad"), ("positive", "negative"),
        ("success successful", "failure unsuccessful"), ("public", "private"), ("internal inner", "external outer"),
        ("include includes included including", "exclude excludes excluded excluding"), ("former", "latter"),
        ("same identical", "different distinct"), ("similar", "different"), ("day", "night"), ("summer", "winter"),
        ("man men", "woman women"), ("boy boys", "girl girls"), ("father", "mother"), ("son", "daughter"),
        ("brother", "sister"), ("husband", "wife"), ("king", "queen"), ("alive living", "dead"), ("born", "died"),
        ("begin began begins", "end ended"), ("start started starts", "stop stopped stops end ended finish finished"),
        ("legal", "illegal"), ("common", "rare"), ("often frequently", "rarely seldom"),
        ("fast faster", "slow slower"), ("active", "inactive passive"), ("direct directly", "indirect indirectly"),
        ("friend ally", "enemy"), ("gain gained gains", "loss lost lose"),
        ("add added adds", "remove removed removes"), ("connect connected", "disconnect disconnected"),
        ("install installed", "uninstall uninstalled"), ("input", "output"), ("upload", "download"), ("push", "pull"),
        ("send sent", "receive received"), ("arrive arrived arrival", "depart departed departure leave"),
        ("appear appeared", "disappear disappeared"), ("agree agreed", "disagree disagreed"),
        ("attack attacked", "defend defended"), ("expand expanded", "contract shrink"),
        ("build built", "destroy destroyed demolished"), ("love loved", "hate hated"), ("top", "bottom"),
        ("front", "back rear"), ("horizontal", "vertical"), ("liquid", "solid"), ("dry", "wet"), ("clean", "dirty"),
        ("warm", "cool"), ("noisy loud", "quiet silent"), ("dark", "bright light"), ("near", "far"),
        ("simple", "complex complicated"), ("temporary", "permanent"),
        ("mandatory required compulsory", "optional voluntary"), ("visible", "invisible hidden"),
        ("known", "unknown"), ("possible", "impossible"), ("necessary", "unnecessary"), ("able", "unable"),
        ("equal", "unequal"), ("professional", "amateur"), ("domestic", "foreign"), ("urban", "rural"),
        ("majority", "minority"), ("asset assets", "liability liabilities"), ("credit", "debit"),
        ("income revenue", "expense expenses"), ("infected", "uninfected"), ("vaccinated", "unvaccinated"),
        ("acute", "chronic"), ("benign", "malignant"), ("mild", "severe"), ("upward upwards", "downward downwards"),
        ("ascending", "descending"), ("up", "down"), ("predecessor", "successor"), ("previous", "next following"),
        ("teacher", "student pupil"), ("even", "odd"), ("größer", "kleiner"), ("höher", "niedriger"), ("vor", "nach"),
        ("gestiegen stieg", "gesunken sank gefallen"), ("avant", "après"), ("supérieur", "inférieur"),
        ("antes", "después"), ("mayor", "menor"),
    )
)  # fmt: skip
"""Words that say the opposite of each other."""

BOUNDS = _set(
    """over above exceeding exceeds beyond under below within up limit limited cap capped provided when once while
    should otherwise required requires
    über unter bei sobald solange begrenzt dès lorsque quand cuando siempre jusque limité límite"""
)
"""Other words for a quantifier or condition."""
DENIALS = _set(
    """forbidden prohibited banned refuse refused refuses deny denied denies fail failed fails lack lacks lacking
    lacked absent missing zero impossible unable prevent prevents prevented prohibit prohibits forbid forbids avoid
    exclude excluded excludes except unopened untouched unused unpaid cancelled disallowed
    verboten fehlt fehlte unmöglich interdit interdite manque impossible prohibido falta imposible"""
)
"""Other words for a negation."""
NEGATIVE_PREFIXES = ("un", "in", "im", "ir", "dis", "non")

CALENDAR = _set(
    """monday tuesday wednesday thursday friday saturday sunday january february april june july august september
    october november december montag dienstag mittwoch donnerstag freitag samstag sonntag januar februar märz juni juli
    oktober dezember lundi mardi mercredi jeudi vendredi samedi dimanche janvier février avril juin juillet août
    septembre octobre novembre décembre lunes martes miércoles jueves viernes sábado domingo enero febrero abril junio
    julio agosto septiembre octubre noviembre diciembre"""
)
"""Words that are as good as numbers. Without "may", "march", "mars", "mai" and "mayo", which are other words too."""
MONTHS = _set("may march mars mai mayo")
"""The words that were left out there: months beside a number."""
