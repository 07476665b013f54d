"""Messages that the mini models cannot interpret: other languages, random letters, words without a sense."""

from __future__ import annotations

from random import Random

#: By language: determiner + colours, things, places, sentences with a thing, and sentences alone; separated by "|".
_LANGUAGES = (
    (
        "ein rotes|ein blaues|eine grüne|ein gelber|ein großes|zwei|"
        "kein|mit einem schwarzen",
        "Haus|Auto|Boot|Baum|Blume|Katze|Stern|Herz|Regenschirm|Fisch|"
        "Hund",
        "am Strand|im Schnee|bei Nacht|in der Wüste|auf der Wiese|"
        "bei Sonnenuntergang",
        "ich suche {}|ich möchte {}|bitte {}|da ist {}|zeig mir {}|"
        "ohne {}|noch {}",
        "ich weiß nicht|keine Ahnung|danke schön|das ist mir egal|"
        "mehr bitte|ja, genau|nein, das nicht|guten Tag|"
        "wie geht es dir",
    ),
    (
        "une rouge|un bleu|une verte|un grand|deux|pas de|"
        "avec un petit",
        "maison|voiture|bateau|arbre|fleur|chat|étoile|coeur|"
        "parapluie|poisson|chien",
        "à la plage|dans la neige|la nuit|dans le désert|dans un pré|"
        "au coucher du soleil",
        "je cherche {}|je voudrais {}|il y a {}|montre moi {}|sans {}|"
        "avec {}",
        "je ne sais pas|aucune idée|merci beaucoup|peu importe|"
        "encore s'il vous plaît|oui, exactement|non, pas du tout|"
        "bonjour|ça va",
    ),
    (
        "una roja|un azul|una verde|un gran|dos|ningún|con un pequeño",
        "casa|coche|barco|árbol|flor|gato|estrella|corazón|paraguas|"
        "pez|perro",
        "en la playa|en la nieve|de noche|en el desierto|en el prado|"
        "al atardecer",
        "busco {}|quiero {}|hay {}|muéstrame {}|sin {}|con {}",
        "no lo sé|ni idea|muchas gracias|me da igual|más por favor|"
        "sí, exacto|no, eso no|buenos días|qué tal",
    ),
    (
        "una rossa|un blu|una verde|un grande|due|nessun|"
        "con un piccolo",
        "casa|macchina|barca|albero|fiore|gatto|stella|cuore|ombrello|"
        "pesce|cane",
        "sulla spiaggia|nella neve|di notte|nel deserto|nel prato|"
        "al tramonto",
        "cerco {}|vorrei {}|c'è {}|mostrami {}|senza {}|con {}",
        "non lo so|nessuna idea|grazie mille|non importa|"
        "ancora per favore|sì, esatto|no, quello no|buongiorno|"
        "come stai",
    ),
    (
        "een rood|een blauw|een groene|een groot|twee|geen|"
        "met een klein",
        "huis|auto|boot|boom|bloem|kat|ster|hart|paraplu|vis|hond",
        "op het strand|in de sneeuw|in de nacht|in de woestijn|"
        "in de wei|bij zonsondergang",
        "ik zoek {}|ik wil {}|er is {}|laat me {} zien|zonder {}|"
        "met {}",
        "ik weet het niet|geen idee|dank je wel|maakt niet uit|"
        "meer alsjeblieft|ja, precies|nee, dat niet|goedemorgen|"
        "hoe gaat het",
    ),
    (
        "um vermelho|uma azul|um verde|um grande|dois|nenhum|"
        "com um pequeno",
        "casa|carro|barco|árvore|flor|gato|estrela|coração|"
        "guarda-chuva|peixe|cão",
        "na praia|na neve|à noite|no deserto|no prado|ao pôr do sol",
        "procuro {}|quero {}|há {}|mostra-me {}|sem {}|com {}",
        "não sei|nenhuma ideia|muito obrigado|tanto faz|"
        "mais por favor|sim, exatamente|não, isso não|bom dia|"
        "tudo bem",
    ),
    (
        "czerwony|niebieski|zielona|duży|dwa|żaden|z małym",
        "dom|samochód|statek|drzewo|kwiat|kot|gwiazda|serce|parasol|"
        "ryba|pies",
        "na plaży|w śniegu|w nocy|na pustyni|na łące|o zachodzie",
        "szukam {}|chcę {}|jest {}|pokaż mi {}|bez {}|z {}",
        "nie wiem|nie mam pojęcia|dziękuję bardzo|wszystko jedno|"
        "więcej proszę|tak, dokładnie|nie, to nie|dzień dobry|"
        "jak się masz",
    ),
    (
        "ett rött|en blå|ett grönt|ett stort|två|ingen|med en liten",
        "hus|bil|båt|träd|blomma|katt|stjärna|hjärta|paraply|fisk|"
        "hund",
        "på stranden|i snön|på natten|i öknen|på ängen|"
        "vid solnedgången",
        "jag söker {}|jag vill ha {}|det finns {}|visa mig {}|utan {}|"
        "med {}",
        "jag vet inte|ingen aning|tack så mycket|"
        "det spelar ingen roll|mer tack|ja, precis|nej, inte det|"
        "god morgon|hur mår du",
    ),
    (
        "kırmızı bir|mavi bir|yeşil bir|büyük bir|iki|hiç|küçük bir",
        "ev|araba|tekne|ağaç|çiçek|kedi|yıldız|kalp|şemsiye|balık|"
        "köpek",
        "sahilde|karda|gece|çölde|çayırda|gün batımında",
        "{} arıyorum|{} istiyorum|{} var|bana {} göster|{} olmadan",
        "bilmiyorum|fikrim yok|çok teşekkürler|fark etmez|"
        "daha fazla lütfen|evet, aynen|hayır, o değil|günaydın|"
        "nasılsın",
    ),
    (
        "красный|синий|зелёный|большой|два|никакой|с маленьким",
        "дом|автомобиль|лодка|дерево|цветок|кот|звезда|сердце|зонт|"
        "рыба|собака",
        "на пляже|в снегу|ночью|в пустыне|на лугу|на закате",
        "я ищу {}|хочу {}|там есть {}|покажи мне {}|без {}",
        "я не знаю|понятия не имею|большое спасибо|всё равно|"
        "ещё пожалуйста|да, точно|нет, не это|доброе утро|как дела",
    ),
    (
        "赤い|青い|緑の|大きい|二つの|小さい",
        "家|車|船|木|花|猫|星|ハート|傘|魚|犬",
        "海辺で|雪の中|夜に|砂漠で|草原で|夕方に",
        "{}を探しています|{}がほしい|{}があります|{}なし",
        "わかりません|ありがとう|どちらでもいい|もっと見せて|はい、そうです|いいえ、違います|おはよう|元気ですか",
    ),
    (
        "红色的|蓝色的|绿色的|大的|两个|小的",
        "房子|汽车|船|树|花|猫|星星|心|雨伞|鱼|狗",
        "在海滩上|在雪里|在晚上|在沙漠里|在草地上|在日落时",
        "我在找{}|我想要{}|有{}|没有{}",
        "我不知道|谢谢|都可以|更多|对，没错|不，不是|早上好|你好吗",
    ),
    (
        "rubra|nigra|magna|duae|nulla|cum parva",
        "domus|navis|arbor|flos|feles|stella|cor|piscis|canis",
        "in litore|in nive|nocte|in deserto|in prato",
        "quaero {}|volo {}|ibi est {}|sine {}",
        "nescio|gratias ago|nihil refert|plura|ita vero|minime|salve|"
        "quid agis",
    ),
    (
        "punainen|sininen|vihreä|iso|kaksi|ei mitään|pieni",
        "talo|auto|vene|puu|kukka|kissa|tähti|sydän|sateenvarjo|kala|"
        "koira",
        "rannalla|lumessa|yöllä|aavikolla|niityllä|auringonlaskussa",
        "etsin {}|haluan {}|siellä on {}|ilman {}",
        "en tiedä|ei aavistustakaan|kiitos paljon|ihan sama|"
        "lisää kiitos|kyllä, juuri niin|ei, ei se|hyvää huomenta",
    ),
)  # fmt: skip
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890")
_SYLLABLES = [
    "bla",
    "blo",
    "ka",
    "ko",
    "lu",
    "mo",
    "ne",
    "pi",
    "ra",
    "sti",
    "tru",
    "vo",
    "wum",
    "xi",
    "zap",
    "gor",
    "fli",
    "nak",
    "dro",
    "pli",
    "mur",
    "tak",
    "zin",
    "quo",
]
_SIGNS = (
    "???",
    "...",
    "!!",
    ":-)",
    "??",
    "#",
    "$$$",
    "@@",
    "1",
    "42",
    "0000",
    "👍",
    "🙂",
    "-",
    "*",
    "x",
    "q",
    "zz",
    "mmh",
    "xxx",
)
_PARTICLES = [
    "of",
    "the",
    "is",
    "if",
    "then",
    "because",
    "although",
    "whereas",
    "at",
    "by",
    "me",
    "so",
    "than",
    "upon",
    "thus",
    "hence",
]


def foreign(rng: Random) -> str:
    """Something said in another language than English."""
    colours, things, places, frames, sentences = (each.split("|") for each in rng.choice(_LANGUAGES))
    thing = f"{rng.choice(colours)} {rng.choice(things)}"
    return rng.choice(
        (thing, rng.choice(frames).format(thing), rng.choice(frames).format(thing), rng.choice(places),
         f"{thing} {rng.choice(places)}", f"{thing}, {rng.choice(places)}", rng.choice(sentences))
    )  # fmt: skip


def nonsense(rng: Random) -> str:
    """Something that means nothing in any language."""
    made = (_mashed, _letters, _syllables, _signs, _particles, _drawn_out)
    return " ".join(rng.choice(made)(rng) for _ in range(rng.choice((1, 1, 1, 2))))


def _mashed(rng: Random) -> str:
    words = []
    for _ in range(rng.randint(1, 3)):
        row = rng.choice(_ROWS)
        start = rng.randrange(len(row) - 2)
        words.append(row[start : start + rng.randint(3, 6)] * rng.choice((1, 1, 2)))
    return " ".join(words)


def _letters(rng: Random) -> str:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return " ".join("".join(rng.choices(alphabet, k=rng.randint(2, 9))) for _ in range(rng.randint(1, 4)))


def _syllables(rng: Random) -> str:
    return " ".join("".join(rng.choices(_SYLLABLES, k=rng.randint(1, 3))) for _ in range(rng.randint(1, 4)))


def _signs(rng: Random) -> str:
    return " ".join(rng.choices(_SIGNS, k=rng.randint(1, 3)))


def _particles(rng: Random) -> str:
    return " ".join(rng.choices(_PARTICLES, k=rng.randint(2, 5)))


def _drawn_out(rng: Random) -> str:
    """Letters or digits said again and again: "brrrr", "uuuu", "7 7"."""
    sign = rng.choice("abcdefghijklmnopqrstuvwxyz0123456789")
    if sign.isdigit():
        return " ".join([sign] * rng.randint(2, 4))
    return rng.choice(("", "", rng.choice("abghpst"))) + sign * rng.randint(3, 7) + rng.choice(("", "", "h"))
