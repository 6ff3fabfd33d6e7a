import Captioning
