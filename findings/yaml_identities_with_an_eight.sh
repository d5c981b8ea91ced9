#!/usr/bin/env bash
# huggingface_hub 2.4.0 with PyYAML 6.0.3, read by ruamel.yaml 0.19.1: identities with an 8 or a 9 become numbers, the others stay.
#
# Behaviour: PyYAML writes YAML 1.1, in which 0007 is an octal number, so that the text needs quotes, and 0008 is none, so it needs
# none. YAML 1.2, which ruamel.yaml reads, has 0008 be the number 8. So of a list of texts in a data card those with the digits 8 or 9
# come back as 8, 9, 18 and 108, among texts. The other way, written by ruamel.yaml and read by PyYAML, all stay texts. Numbers of a
# list written by hand differ more: 0010 is 8 to PyYAML (and OmegaConf 2.4.0 on top of it) and 10 to YAML 1.2. No message.
# Why it matters: Market-1501 names people by four digits, and lists of them stand in cards, splits and settings: who trained, who is to
# be left out. A third of the names 0001 to 1501 has an 8 or a 9: they are left in, because 8 is not "0008".
# Seen: 0007 0008 0009 0010 0018 0108 as texts, by the card: '0007' 8 9 '0010' 18 108, by PyYAML itself and the other way: right;
#       by hand, without quotes, 0007 0008 0010: PyYAML and OmegaConf 7 '0008' 8, ruamel.yaml 7 8 10. Of 0001 to 1501 488 become numbers
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    huggingface_hub==2.4.0 pyyaml==6.0.3 ruamel.yaml==0.19.1 omegaconf==2.4.0
cd "$folder"
cat > identities.py <<'PY'
import io

import omegaconf
import ruamel.yaml
import yaml
from huggingface_hub import DatasetCardData

NAMES = ["0007", "0008", "0009", "0010", "0018", "0108"]
BY_HAND = "- 0007\n- 0008\n- 0010\n"


def of_1_2(text: str) -> list:
    return ruamel.yaml.YAML(typ="safe", pure=True).load(text)


card = DatasetCardData(left_out=NAMES).to_yaml()
other_way = io.StringIO()
ruamel.yaml.YAML().dump(NAMES, other_way)
found = {
    "card": of_1_2(card)["left_out"],
    "PyYAML": yaml.safe_load(card)["left_out"],
    "the other way": yaml.safe_load(other_way.getvalue()),
    "by hand": (yaml.safe_load(BY_HAND), list(omegaconf.OmegaConf.create(BY_HAND)), of_1_2(BY_HAND)),
    "of 1501": sum(
        isinstance(one, int) for one in of_1_2(yaml.safe_dump([f"{number:04d}" for number in range(1, 1502)]))
    ),
}
print("PyYAML", yaml.__version__, "ruamel.yaml", ruamel.yaml.__version__, "omegaconf", omegaconf.__version__, found)
assert found["card"] == ["0007", 8, 9, "0010", 18, 108]
assert found["PyYAML"] == found["the other way"] == NAMES
assert found["by hand"] == ([7, "0008", 8], [7, "0008", 8], [7, 8, 10])
assert found["of 1501"] == 488
PY
venv/bin/python identities.py 2> errors.log || { cat errors.log >&2; exit 1; }
